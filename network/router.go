package network

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/network/firewall"
)

// Where forwarding was off before us, switching it on would make the host a
// router between all of its links. So those that stood by then, and hardware and
// tunnels that came later, are closed: nothing is forwarded between two of them
// (firewall.CloseRouter). Bridges that others set up afterwards, as dockerd does,
// find forwarding on and have it; if such are there when our last network goes,
// forwarding stays on for them, and the links stay closed. The next network that
// goes, or engine that begins, looks again.

func (l *HostLock) closedFile(setting string) string { return filepath.Join(l.dir, setting, "closed") }

// closeRouter closes the host's links, unless it forwarded before us.
func (l *HostLock) closeRouter(h *Host, setting, boot string) error {
	if prior, ok := l.prior(setting, boot); !ok || prior != "0" {
		return nil
	}
	closed, again := l.closedLinks(setting, boot)
	links, err := h.Links("")
	if err != nil {
		return err
	}
	for _, link := range links {
		if toClose(link, links, again) && !slices.Contains(closed, link.Name) {
			closed = append(closed, link.Name)
		}
	}
	if err := writeStamped(l.closedFile(setting), boot, strings.Join(closed, "\n")); err != nil {
		return err
	}
	return firewall.CloseRouter(h.ns, setting == forward6, closed, again)
}

// prior is a setting as it was before the first user.
func (l *HostLock) prior(setting, boot string) (value string, ok bool) {
	text, ok := readStamped(l.priorFile(setting), boot)
	value, _, _ = strings.Cut(text, "\n") // behind it stands what else goes back
	return value, ok
}

func (l *HostLock) closedLinks(setting, boot string) (names []string, ok bool) {
	text, ok := readStamped(l.closedFile(setting), boot)
	if text == "" {
		return nil, ok
	}
	return strings.Split(text, "\n"), ok
}

// toClose says whether a link is closed: the first time all but lo, ours, and
// bridges that nothing is plugged into, as an engine that rests leaves them;
// later hardware and tunnels.
func toClose(link Link, all []Link, again bool) bool {
	switch {
	case link.Index == loopback, ourLink(link.Name):
		return false
	case again:
		// Not what is made for containers and machines.
		return !slices.Contains([]string{"bridge", "veth", "macvlan", "macvtap", "ipvlan", "dummy", "vxlan", "ifb"}, link.Kind)
	case link.Kind == "bridge" && !slices.ContainsFunc(all, func(l Link) bool { return l.Master == link.Index }):
		return false
	}
	return true
}

// ourLink knows the names that engines give: "mc", a tag of 8 hex digits, and
// five characters.
func ourLink(name string) bool {
	return len(name) >= 10 && strings.HasPrefix(name, "mc") && strings.Trim(name[2:10], "0123456789abcdef") == ""
}

// Shut closes the router again, after somebody took the rules away.
func (l *HostLock) Shut(h *Host) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	return errors.Join(l.closeRouter(h, forward4, boot), l.closeRouter(h, forward6, boot))
}

// restore gives the setting back that was there before the first user, unless
// somebody needs it: then it reports so. going are links of ours that are about
// to go, and tag is the engine's, whose bridges are.
func (l *HostLock) restore(h *Host, setting, boot, tag string, going []string) (needed bool, err error) {
	if prior, ok := l.prior(setting, boot); !ok || prior != "0" {
		return false, nil
	}
	closed, _ := l.closedLinks(setting, boot)
	links, err := h.Links("")
	if err != nil {
		return false, err
	}
	group, err := firewall.LinkGroup(tag)
	if err != nil {
		return false, err
	}
	for _, link := range links {
		if link.Kind == "bridge" && link.Up && !ourLink(link.Name) && link.Group != group && !slices.Contains(slices.Concat(closed, going), link.Name) {
			return true, nil
		}
	}
	path := "ipv4/ip_forward"
	if setting == forward6 {
		path = allForwarding
	}
	if err := h.inside(sysctl{path, "0", false}.write); err != nil {
		return false, err
	}
	if err := firewall.OpenRouter(h.ns, setting == forward6); err != nil {
		return false, err
	}
	err = os.Remove(l.closedFile(setting))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return false, err
}
