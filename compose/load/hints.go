package load

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// longestName is how long the names of networks and volumes may be: they are
// those of folders.
const longestName = 255

// hints warns, one line each, of what is no mistake and has no effect as the
// services and networks stand.
func (l *projectLoader) hints(p *types.Project) {
	for _, name := range sortedKeys(p.Services) {
		s := p.Services[name]
		path := "services." + name
		own := networksOf(s)
		inside := func(key string) bool { return bool(p.Networks[key].Internal) }
		if len(s.Ports) > 0 && len(own) > 0 && !slices.ContainsFunc(own, func(key string) bool { return !inside(key) }) {
			l.hint(path+".ports", fmt.Sprintf("service %s publishes ports, and its networks are all internal: nothing is published", name))
		}
		for _, link := range s.Links {
			target, _, _ := strings.Cut(link, ":")
			other, ok := p.Services[target]
			if !ok || len(own) == 0 || len(networksOf(other)) == 0 {
				continue
			}
			if !slices.ContainsFunc(networksOf(other), func(key string) bool { return slices.Contains(own, key) }) {
				l.hint(path+".links", fmt.Sprintf("services %s and %s are on no network together: the link leads nowhere", name, target))
			}
		}
	}
}

func (l *projectLoader) hint(path, text string) {
	if !l.cutWithin(path) {
		l.warnings.add("%s: %s", l.index.At(path), text)
	}
}

// networksOf are the keys of the networks that a service is on.
func networksOf(s types.ServiceConfig) []string {
	if s.NetworkMode != "" {
		return nil
	}
	if len(s.Networks) == 0 {
		return []string{"default"}
	}
	return sortedKeys(s.Networks)
}

// longNames refuses names that no network or volume can have.
func (l *projectLoader) longNames(p *types.Project) {
	check := func(kind, path, name string) {
		if len(name) > longestName {
			l.mistake(path, fmt.Sprintf("the %s's name has %d bytes: %s…", kind, len(name), name[:20]), fmt.Sprintf("use at most %d", longestName))
		}
	}
	for _, key := range sortedKeys(p.Networks) {
		check("network", "networks."+key, p.Networks[key].Name)
	}
	for _, key := range sortedKeys(p.Volumes) {
		check("volume", "volumes."+key, p.Volumes[key].Name)
	}
}
