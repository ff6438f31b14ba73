package network

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// configure brings the links inside to life, in one datagram. The calling
// thread is in their namespace.
func configure(endpoints []Endpoint) error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	defer s.close()
	// The kernel ignores an index asked for a veth's peer, so look them up.
	index, err := s.indexes()
	if err != nil {
		return err
	}
	msgs := []message{linkUp(loopback)}
	of := []string{"lo"}
	for _, e := range endpoints {
		i := index[e.Name]
		if slices.ContainsFunc(e.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			if err := (sysctl{"ipv6/conf/" + e.Name + "/disable_ipv6", "0", false}).write(); err != nil {
				return fmt.Errorf("cannot configure %s: %w", e.Name, err)
			}
		}
		before := len(msgs)
		for _, a := range e.Addresses {
			msgs = append(msgs, newAddress(i, a))
		}
		msgs = append(msgs, linkUp(i))
		for _, g := range e.Gateways {
			msgs = append(msgs, newDefaultRoute(i, g))
		}
		for range len(msgs) - before {
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

// indexes are those of the links where the socket is, by name.
func (s *socket) indexes() (map[string]int, error) {
	index := map[string]int{}
	err := s.ask(listLinks(), func(body []byte) {
		l := parseLink(body)
		index[l.Name] = l.Index
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the links of the container: %w", err)
	}
	return index, nil
}

// Detach takes links out of a namespace; missing ones are no error. A pair goes
// with both ends.
func Detach(ns *os.File, names ...string) error {
	return inNamespace(ns, func(s *socket) error {
		index, err := s.indexes()
		if err != nil {
			return err
		}
		for _, name := range names {
			if index[name] == 0 {
				continue
			}
			err := s.batch(message{kind: unix.RTM_DELLINK, parts: []nl.NetlinkRequestData{infoMsg(index[name])}})
			if err != nil && !isErrno(err, unix.ENODEV) {
				return fmt.Errorf("cannot detach %s: %w", name, err)
			}
		}
		return nil
	})
}

// Route leads what no other route takes through a link of the namespace, in
// place of whatever did before. Gateways are as in Endpoint.
func Route(ns *os.File, link string, gateways []netip.Addr) error {
	return inNamespace(ns, func(s *socket) error {
		index, err := s.indexes()
		if err != nil {
			return err
		}
		for _, g := range gateways {
			if err := s.batch(newDefaultRoute(index[link], g)); err != nil {
				return fmt.Errorf("cannot make %s the default route: %w", link, err)
			}
		}
		return nil
	})
}

// LinkNames are the names of the links in a namespace.
func LinkNames(ns *os.File) (names []string, err error) {
	err = inNamespace(ns, func(s *socket) error {
		index, err := s.indexes()
		names = slices.Sorted(maps.Keys(index))
		return err
	})
	return names, err
}

func inNamespace(ns *os.File, fn func(*socket) error) error {
	return Do(ns, func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		defer s.close()
		return fn(s)
	})
}
