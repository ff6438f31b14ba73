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

// Silence takes the addresses of a link in a namespace away, and with them its
// routes: nothing goes through it any more. It is what of Detach does not wait
// for an RCU grace period (20–40 ms). A missing link is no error.
func Silence(ns *os.File, name string) error {
	return inNamespace(ns, func(s *socket) error {
		index, err := s.indexes()
		if err != nil || index[name] == 0 {
			return err
		}
		var msgs []message
		dump := message{kind: unix.RTM_GETADDR, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{nl.NewIfAddrmsg(unix.AF_UNSPEC)}}
		err = s.ask(dump, func(body []byte) {
			if gone, ok := oldAddress(body, index[name]); ok {
				msgs = append(msgs, gone)
			}
		})
		if err != nil {
			return fmt.Errorf("cannot list the addresses of %s: %w", name, err)
		}
		errs, err := s.each(msgs...)
		for _, e := range errs {
			// One goes with another where that is of the same subnet.
			if e != nil && e.errno != unix.EADDRNOTAVAIL && err == nil {
				err = e
			}
		}
		if err != nil {
			return fmt.Errorf("cannot silence %s: %w", name, err)
		}
		return nil
	})
}

// oldAddress deletes the address of an answer, if it is of the link.
func oldAddress(body []byte, index int) (message, bool) {
	if len(body) < unix.SizeofIfAddrmsg || int(number(body[4:])) != index {
		return message{}, false
	}
	m := nl.NewIfAddrmsg(int(body[0]))
	m.Prefixlen, m.Index = body[1], uint32(index)
	parts := []nl.NetlinkRequestData{m}
	for kind, value := range attributes(body[unix.SizeofIfAddrmsg:]) {
		if kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS {
			parts = append(parts, nl.NewRtAttr(int(kind), slices.Clone(value)))
		}
	}
	return message{kind: unix.RTM_DELADDR, parts: parts}, true
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
