package network

import (
	"errors"
	"os"

	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/firewall"
)

// ListenDNS opens a container's resolver sockets in its namespace and leads
// port 53 of 127.0.0.11 to them. It may be repeated, as by a daemon whose
// keeper was lost: the new sockets take the place of the old ones. The caller's
// own namespace is refused: names of the host are not a container's, and one that
// is looked up by a process may have gone or not yet begun.
func ListenDNS(ns *os.File) (dns.Sockets, error) {
	var s dns.Sockets
	if own, err := isOwn(ns); err != nil || own {
		return s, errors.Join(err, errors.New("a resolver's rules are not for the host's own namespace"))
	}
	err := Do(ns, func() (err error) {
		if s, err = dns.Listen(); err != nil {
			return err
		}
		return firewall.LeadResolver(dns.Addr(), s.UDPPort, s.TCPPort)
	})
	if err != nil {
		s.Close()
		return dns.Sockets{}, err
	}
	return s, nil
}
