package container

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// HostLine is one line of /etc/hosts.
type HostLine struct {
	Addr  netip.Addr
	Names []string
}

// Hosts is the content of /etc/hosts: the names of the loopback, the
// container's own addresses, the extra hosts as written.
func Hosts(own []HostLine, extra []spec.ExtraHost) []byte {
	var b strings.Builder
	b.WriteString("127.0.0.1\tlocalhost\n" +
		"::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::\tip6-localnet\nff00::\tip6-mcastprefix\n" +
		"ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	for _, h := range extra {
		fmt.Fprintf(&b, "%s\t%s\n", h.IP, h.Name)
	}
	for _, line := range own {
		fmt.Fprintf(&b, "%s\t%s\n", line.Addr, strings.Join(line.Names, " "))
	}
	return []byte(b.String())
}

// ResolvConf is the content of /etc/resolv.conf, resolv.conf(5).
func ResolvConf(servers, search, options []string) []byte {
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return []byte(b.String())
}
