package network

import (
	"fmt"
	"regexp"
	"slices"
)

// strangerName knows the names that dockerd and podman give the bridges of their
// networks. Those that a person named are not told from the host's own.
var strangerName = regexp.MustCompile(`^(docker[0-9]+|docker_gwbridge|br-[0-9a-f]{12}|podman[0-9]+|cni-podman[0-9]+)$`)

func stranger(link Link) bool { return link.Kind == "bridge" && strangerName.MatchString(link.Name) }

// Strangers are the bridges of other engines, sorted.
func (h *Host) Strangers() ([]string, error) {
	links, err := h.Links("")
	if err != nil {
		return nil, fmt.Errorf("cannot find the bridges of other engines: %w", err)
	}
	var names []string
	for _, l := range links {
		if stranger(l) {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
