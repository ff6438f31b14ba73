package network

import (
	"os"

	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/firewall"
)

// ListenDNS opens a container's resolver sockets in its namespace and leads
// port 53 of 127.0.0.11 to them. It may be repeated, as by a daemon whose
// keeper was lost: the new sockets take the place of the old ones.
func ListenDNS(ns *os.File) (dns.Sockets, error) {
	var s dns.Sockets
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
