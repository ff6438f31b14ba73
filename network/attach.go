package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/mycompose/mycompose/network/ipam"
	"golang.org/x/sys/unix"
)

// Endpoint is one container's place in one network.
type Endpoint struct {
	// Bridge is the name of the network's bridge on the host.
	Bridge string
	// Prefix begins the name of the host's end; five characters follow.
	Prefix string
	// Name of the link inside; empty means eth0, eth1 … by position.
	Name string
	// Address with the subnet's length, IPv4.
	Address netip.Prefix
	// MAC; nil means ipam.MAC of the address.
	MAC net.HardwareAddr
	// Gateway of the default route; zero adds none. At most one of a
	// container's endpoints has one.
	Gateway netip.Addr
	// MTU in bytes; 0 is the kernel's 1500. It must not exceed the bridge's.
	MTU int
}

// Attach plugs a namespace into networks, and returns the names of the host's
// ends in order. If it fails, nothing of it is left. There
// is no inverse to call later: the links go when the last descriptor of the
// namespace and the last process in it are gone.
func (h *Host) Attach(ns *os.File, endpoints []Endpoint) ([]string, error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	endpoints, err := complete(endpoints)
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
		return nil, errors.Join(err, h.DeleteLinks(names...))
	}
	return names, nil
}

// complete fills in what an endpoint leaves out and refuses what cannot be.
func complete(endpoints []Endpoint) ([]Endpoint, error) {
	out := make([]Endpoint, len(endpoints))
	routes := 0
	for i, e := range endpoints {
		if e.Name == "" {
			e.Name = fmt.Sprintf("eth%d", i)
		}
		if e.MAC == nil {
			e.MAC = ipam.MAC(e.Address.Addr())
		}
		if e.Gateway.IsValid() {
			routes++
		}
		err := errors.Join(checkLinkName(e.Name), checkAddress(e.Address))
		if err == nil && e.Gateway.IsValid() && !e.Gateway.Is4() {
			err = fmt.Errorf("gateway %s is not IPv4", e.Gateway)
		}
		if err == nil && len(e.Prefix) > 10 {
			err = fmt.Errorf("link prefix %s has more than 10 bytes", e.Prefix)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot attach %s to bridge %s: %w", e.Name, e.Bridge, err)
		}
		out[i] = e
	}
	if routes > 1 {
		return nil, errors.New("cannot attach: more than one endpoint has a default gateway")
	}
	return out, nil
}

// plug creates the pairs. A name that is taken is tried again under another.
func (h *Host) plug(ns *os.File, endpoints []Endpoint) ([]string, error) {
	bridges := make([]int, len(endpoints))
	for i, e := range endpoints {
		l, err := h.link(e.Bridge)
		if err != nil {
			return nil, fmt.Errorf("cannot attach %s to bridge %s: %w", e.Name, e.Bridge, err)
		}
		bridges[i] = l.Index
	}
	var err error
	for range 3 {
		var names []string
		if names, err = h.plugOnce(ns, endpoints, bridges); err == nil || !isErrno(err, unix.EEXIST) {
			return names, err
		}
	}
	return nil, err
}

func (h *Host) plugOnce(ns *os.File, endpoints []Endpoint, bridges []int) ([]string, error) {
	names := make([]string, len(endpoints))
	var msgs []message
	fd := ns.Fd()
	for i, e := range endpoints {
		names[i] = LinkName(e.Prefix)
		msgs = append(msgs, newPair(names[i], bridges[i], fd, e), hairpin(names[i]))
	}
	errs, err := h.sock.each(msgs...)
	if err != nil {
		return nil, err
	}
	var made []string
	for i, e := range errs {
		of := i / 2 // two messages each
		if e == nil && i%2 == 0 {
			made = append(made, names[of])
		}
		if e != nil && err == nil {
			err = fmt.Errorf("cannot attach %s to bridge %s: %w", endpoints[of].Name, endpoints[of].Bridge, e)
		}
	}
	if err != nil {
		return nil, errors.Join(err, h.DeleteLinks(made...))
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
		if _, err := h.link(n); err != nil {
			return err
		}
	}
	return nil
}

// configure brings the links inside to life, in one datagram. The calling
// thread is in their namespace.
func configure(endpoints []Endpoint) error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	defer s.close()
	// The kernel ignores an index asked for a veth's peer, so look them up.
	index := map[string]int{}
	err = s.ask(listLinks(), func(body []byte) {
		l := parseLink(body)
		index[l.Name] = l.Index
	})
	if err != nil {
		return fmt.Errorf("cannot list the links of the container: %w", err)
	}
	msgs := []message{linkUp(loopback)}
	of := []string{"lo"}
	for _, e := range endpoints {
		i := index[e.Name]
		msgs = append(msgs, newAddress(i, e.Address), linkUp(i))
		of = append(of, e.Name, e.Name)
		if e.Gateway.IsValid() {
			msgs = append(msgs, newDefaultRoute(i, e.Gateway))
			of = append(of, e.Name)
		}
	}
	err = s.batch(msgs...)
	var failed *requestError
	if errors.As(err, &failed) {
		return fmt.Errorf("cannot configure %s: %w", of[failed.index], err)
	}
	return err
}
