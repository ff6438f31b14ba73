package network

import (
	"errors"
	"os"

	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/firewall"
)

// Leading is how port 53 in a container's namespace leads to its resolver.
type Leading int

const (
	// Unled has no resolver.
	Unled Leading = iota
	// Led is by rules that whoever may change rules inside can take away.
	Led
	// Held is by rules that nobody inside can, where the kernel has such.
	Held
)

// ListenDNS opens a container's resolver sockets in its namespace and leads
// port 53 of 127.0.0.11 to them. It may be repeated, as by a daemon whose
// keeper was lost: the new sockets take the place of the old ones. The caller's
// own namespace is refused: names of the host are not a container's, and one that
// is looked up by a process may have gone or not yet begun.
func ListenDNS(ns *os.File, how Leading) (dns.Sockets, error) {
	if own, err := isOwn(ns); err != nil || own {
		return dns.Sockets{}, errors.Join(err, errors.New("a resolver's rules are not for the host's own namespace"))
	}
	var s dns.Sockets
	err := Do(ns, func() (err error) {
		s, err = listenDNS(how)
		return err
	})
	return s, err
}

// listenDNS is ListenDNS in the namespace of the calling thread.
func listenDNS(how Leading) (dns.Sockets, error) {
	if how == Unled {
		return dns.Sockets{}, nil
	}
	s, err := dns.Listen()
	if err == nil && how == Held {
		s.Rules, err = firewall.HoldResolver(dns.Addr(), s.UDPPort, s.TCPPort)
	} else if err == nil {
		err = firewall.LeadResolver(dns.Addr(), s.UDPPort, s.TCPPort)
	}
	if err != nil {
		s.Close()
		return dns.Sockets{}, err
	}
	return s, nil
}

// HoldDNS makes of Led sockets Held ones: it returns what becomes their Rules, nil
// where the kernel has none.
func HoldDNS(ns *os.File, s dns.Sockets) (rules *os.File, err error) {
	udp, err := dns.Port(s.UDP)
	if err != nil {
		return nil, err
	}
	tcp, err := dns.Port(s.TCP)
	if err != nil {
		return nil, err
	}
	err = Do(ns, func() (err error) {
		rules, err = firewall.HoldResolver(dns.Addr(), udp, tcp)
		return err
	})
	return rules, err
}
