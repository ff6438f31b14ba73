package network

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/network/ipam"
)

// Endpoint is one container's place in one network.
type Endpoint struct {
	// Kind is how the link is made; "" is a pair with its host end on Bridge.
	Kind LinkKind
	// Bridge is the name of the network's bridge on the host; Parent that of
	// the link which a macvlan or ipvlan link shares.
	Bridge string
	Parent string
	// Mode is a word of the kind, see Sub.
	Mode, Flag string
	// Prefix begins the name of the host's end; five characters follow.
	Prefix string
	// Name of the link inside; empty means NamePrefix (eth) and the next free
	// number.
	Name       string
	NamePrefix string
	// Addresses with the length of their subnets, of either family; the first
	// is of a subnet.
	Addresses []netip.Prefix
	// MAC; nil means ipam.MAC of the first address.
	MAC net.HardwareAddr
	// Gateways of the default routes, at most one of each family among all of
	// a container's endpoints. An unspecified one is a route by the link alone.
	Gateways []netip.Addr
	// Isolated keeps the link from others of its bridge that are isolated too.
	Isolated bool
	// MTU in bytes; 0 is the kernel's 1500. It must not exceed the bridge's.
	MTU int
}

// Plugged names the ends of a link.
type Plugged struct {
	// Host is the name of the host's end, empty for a link that has none.
	Host string
	// Inside is the name of the container's.
	Inside string
}

// Attach plugs a namespace into networks, and names the links in order. taken are names of
// links that the namespace has already. If it fails, nothing of it is left.
// There is no inverse to call when the namespace ends: the links go with its
// last descriptor and its last process. Detach takes them out before.
func (h *Host) Attach(ns *os.File, endpoints []Endpoint, taken ...string) ([]Plugged, error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	endpoints, err := complete(endpoints, taken)
	if err != nil {
		return nil, err
	}
	names, err := h.plug(ns, endpoints)
	if err != nil {
		return nil, err
	}
	err = Do(ns, func() error { return configure(endpoints) })
	if err == nil {
		err = h.settle(names)
	}
	if err != nil {
		return nil, errors.Join(err, h.unplug(ns, endpoints, names))
	}
	links := make([]Plugged, len(names))
	for i, name := range names {
		links[i] = Plugged{name, endpoints[i].Name}
	}
	return links, nil
}

// unplug is the inverse of plug.
func (h *Host) unplug(ns *os.File, endpoints []Endpoint, names []string) error {
	errs := []error{h.DeleteLinks(names...)}
	for i, e := range endpoints {
		if names[i] == "" {
			errs = append(errs, Detach(ns, e.Name))
		}
	}
	return errors.Join(errs...)
}

// complete fills in what an endpoint leaves out and refuses what cannot be.
func complete(endpoints []Endpoint, taken []string) ([]Endpoint, error) {
	out := make([]Endpoint, len(endpoints))
	routes := map[bool]int{}
	taken = slices.Clone(taken)
	for _, e := range endpoints {
		taken = append(taken, e.Name)
	}
	for i, e := range endpoints {
		if e.Name == "" {
			e.Name = freeName(cmp.Or(e.NamePrefix, "eth"), taken)
			taken = append(taken, e.Name)
		}
		err := errors.Join(checkLinkName(e.Name), checkAddresses(e.Addresses))
		if err == nil && e.MAC == nil {
			e.MAC = ipam.MAC(e.Addresses[0].Addr())
		}
		for _, g := range e.Gateways {
			routes[g.Is4()]++
		}
		if err == nil && len(e.Prefix) > 10 {
			err = fmt.Errorf("link prefix %s has more than 10 bytes", e.Prefix)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot attach %s to %s: %w", e.Name, e.place(), err)
		}
		out[i] = e
	}
	if routes[true] > 1 || routes[false] > 1 {
		return nil, errors.New("cannot attach: more than one endpoint has a default gateway")
	}
	return out, nil
}

// freeName is the first of prefix0, prefix1 … that is not taken.
func freeName(prefix string, taken []string) string {
	for n := 0; ; n++ {
		if name := prefix + strconv.Itoa(n); !slices.Contains(taken, name) {
			return name
		}
	}
}

// place is what the endpoint is attached to, in words.
func (e Endpoint) place() string {
	if e.Kind != Pair {
		return string(e.Kind) + " parent " + e.Parent
	}
	return "bridge " + e.Bridge
}

// plug creates the links. A name that is taken is tried again under another.
func (h *Host) plug(ns *os.File, endpoints []Endpoint) ([]string, error) {
	masters := make([]int, len(endpoints))
	for i, e := range endpoints {
		name := e.Bridge
		if e.Kind != Pair {
			name = e.Parent
		}
		l, err := h.link(name)
		if err != nil {
			return nil, fmt.Errorf("cannot attach %s to %s: %w", e.Name, e.place(), err)
		}
		masters[i] = l.Index
	}
	var err error
	for range 3 {
		var names []string
		if names, err = h.plugOnce(ns, endpoints, masters); err == nil || !isErrno(err, unix.EEXIST) {
			return names, err
		}
	}
	return nil, err
}

func (h *Host) plugOnce(ns *os.File, endpoints []Endpoint, masters []int) ([]string, error) {
	names := make([]string, len(endpoints))
	var msgs []message
	var of []int // the endpoint of each message
	fd := ns.Fd()
	for i, e := range endpoints {
		if e.Kind != Pair {
			sub, err := newSub(masters[i], fd, e)
			if err != nil {
				return nil, fmt.Errorf("cannot attach %s to %s: %w", e.Name, e.place(), err)
			}
			msgs, of = append(msgs, sub), append(of, i)
			continue
		}
		names[i] = LinkName(e.Prefix)
		msgs = append(msgs, newPair(names[i], masters[i], fd, e), portMode(names[i], e), portUp(names[i]))
		of = append(of, i, i, i)
	}
	errs, err := h.sock.each(msgs...)
	if err != nil {
		return nil, err
	}
	made, madeNames := []Endpoint{}, []string{}
	for i, e := range errs {
		first := i == 0 || of[i] != of[i-1]
		if e == nil && first {
			made, madeNames = append(made, endpoints[of[i]]), append(madeNames, names[of[i]])
		}
		if e != nil && err == nil {
			at := endpoints[of[i]]
			err = fmt.Errorf("cannot attach %s to %s: %w", at.Name, at.place(), at.Kind.explain(e))
		}
	}
	if err != nil {
		return nil, errors.Join(err, h.unplug(ns, made, madeNames))
	}
	return names, nil
}

// settle makes the kernel notice now that the host's ends have a carrier, and
// let their bridge ports forward. It would else do so in a worker, which may
// wait for the clean-up of dead namespaces: the container's first packet would
// be lost and sent again a second later. Asking for a link does it since Linux
// 6.8; before, nothing is lost but that.
func (h *Host) settle(names []string) error {
	for _, n := range names {
		if n == "" {
			continue
		}
		if _, err := h.link(n); err != nil {
			return err
		}
	}
	return nil
}
