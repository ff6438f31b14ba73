package load

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/engine/spec"
)

func networkChecks(set func(valueCheck, string)) {
	set(checkPort, "services.*.ports[]")
	set(wholeNumber(1, 65535), "services.*.ports[].target")
	set(checkPublished, "services.*.ports[].published")
	set(checkAddress, "services.*.ports[].host_ip services.*.dns services.*.dns[]")
	set(oneOf("tcp udp", "sctp"), "services.*.ports[].protocol")
	set(oneOf("ingress host", ""), "services.*.ports[].mode")
	set(checkLink, "services.*.links[] services.*.external_links[]")
	set(checkExpose, "services.*.expose[]")
	set(checkAlias, "services.*.networks.*.aliases[]")
	set(checkOneWord, "services.*.dns_search services.*.dns_search[] services.*.dns_opt services.*.dns_opt[]")
	set(checkFamily(true), "services.*.networks.*.ipv4_address")
	set(checkFamily(false), "services.*.networks.*.ipv6_address")
	set(checkLinkLocal, "services.*.networks.*.link_local_ips[]")
	set(checkMAC, "services.*.mac_address services.*.networks.*.mac_address")
	set(spec.CheckLinkName, "services.*.networks.*.interface_name")
	set(checkAddress, "networks.*.ipam.config[].gateway networks.*.ipam.config[].aux_addresses.*")
	set(checkSubnet, "networks.*.ipam.config[].subnet")
	set(checkRange, "networks.*.ipam.config[].ip_range")
	set(checkDriver, "networks.*.driver")
	set(anything, "networks.*.driver_opts.*") // see networkOptions
	set(checkName, "networks.*.name networks.*.external.name volumes.*.name volumes.*.external.name")
	set(oneOf("default", "*"), "networks.*.ipam.driver")
	set(checkNetworkMode, "services.*.network_mode")
	set(checkHost, "services.*.extra_hosts[] services.*.build.extra_hosts[]")
	set(checkHostAddress, `services.*.extra_hosts.* services.*.extra_hosts.*[]
		services.*.build.extra_hosts.* services.*.build.extra_hosts.*[]`)
}

const portForms = "write it as 8080:80 or 127.0.0.1:8080:80/udp, with ports from 1 to 65535"

func checkPort(text string) (wrong, right string) {
	configs, err := types.ParsePortConfig(text)
	if err != nil || len(configs) == 0 || strings.Count(text, "/") > 1 { // of several protocols the library takes the first
		return fmt.Sprintf("%q is no port", text), portForms
	}
	for _, c := range configs {
		if c.Protocol == "sctp" {
			return notYet, "use tcp or udp"
		}
		if c.Target == 0 {
			return fmt.Sprintf("%q is no port", text), portForms
		}
	}
	return "", ""
}

// checkPublished checks the host side of the long form: a port or a range.
func checkPublished(text string) (wrong, right string) {
	if text == "" {
		return "", ""
	}
	if _, _, ok := parsePublished(text); !ok {
		return fmt.Sprintf("%q is no host port", text), "write a port from 1 to 65535 or a range such as 8000-8010"
	}
	return "", ""
}

// parsePublished reads a host port or range; 0 is any free port.
func parsePublished(text string) (first, last uint16, ok bool) {
	if text == "" {
		return 0, 0, true
	}
	low, high, ranged := strings.Cut(text, "-")
	a, err := strconv.ParseUint(low, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	if !ranged {
		return uint16(a), uint16(a), true
	}
	b, err := strconv.ParseUint(high, 10, 16)
	if err != nil || b < a || a == 0 {
		return 0, 0, false
	}
	return uint16(a), uint16(b), true
}

func checkLink(text string) (wrong, right string) {
	service, alias := cutLink(text)
	if service == "" || strings.Trim(strings.ToLower(alias), "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" {
		return fmt.Sprintf("%q is no link", text), "write it as SERVICE or SERVICE:ALIAS"
	}
	return "", ""
}

// checkAlias allows what can be asked for by DNS (RFC 1035, 2.3.4).
func checkAlias(text string) (wrong, right string) {
	long := len(text) > 253 || slices.ContainsFunc(strings.Split(text, "."), func(label string) bool { return len(label) > 63 })
	switch {
	case text == "" || strings.Trim(text, ".") != text || strings.Contains(text, "..") || strings.ContainsFunc(text, unicode.IsSpace):
		return fmt.Sprintf("%q is no name", text), "write it as db or db.internal"
	case long:
		return fmt.Sprintf("%q is too long for DNS", text), "use at most 63 characters between dots, and 253 in all"
	}
	return "", ""
}

// checkOneWord is for what stands in resolv.conf(5).
func checkOneWord(text string) (wrong, right string) {
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return fmt.Sprintf("%q is not one word", text), "write each as an item of its own"
	}
	return "", ""
}

func checkExpose(text string) (wrong, right string) {
	if _, ok := parseExpose(text); !ok {
		return fmt.Sprintf("%q is no port", text), "write 80, 80/udp or 8000-8010"
	}
	return "", ""
}

// exposed is a range of container ports.
type exposed struct {
	first, last uint16
	protocol    string
}

func parseExpose(text string) (exposed, bool) {
	ports, protocol, found := strings.Cut(text, "/")
	if !found {
		protocol = "tcp"
	}
	first, last, ok := parsePublished(ports)
	if !ok || first == 0 || protocol != "tcp" && protocol != "udp" {
		return exposed{}, false
	}
	return exposed{first, last, protocol}, true
}

func checkAddress(text string) (wrong, right string) {
	if _, err := netip.ParseAddr(strings.Trim(text, "[]")); err != nil {
		return fmt.Sprintf("%q is no IP address", text), "write it as 10.0.0.53"
	}
	return "", ""
}

// checkFamily allows addresses of one family.
func checkFamily(four bool) valueCheck {
	return func(text string) (wrong, right string) {
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil && four:
			return fmt.Sprintf("%q is no IP address", text), "write it as 10.1.2.3"
		case err != nil:
			return fmt.Sprintf("%q is no IP address", text), "write it as fd00:1::3"
		case four && !addr.Is4():
			return fmt.Sprintf("%q is no IPv4 address", text), "write it as 10.1.2.3, or use ipv6_address"
		case !four && (!addr.Is6() || addr.Is4In6()):
			return fmt.Sprintf("%q is no IPv6 address", text), "write it as fd00:1::3, or use ipv4_address"
		}
		return "", ""
	}
}

func checkLinkLocal(text string) (wrong, right string) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.IsLinkLocalUnicast() || addr.Zone() != "" {
		return fmt.Sprintf("%q is no link-local address", text), "use one of 169.254.0.0/16 or fe80::/64"
	}
	return "", ""
}

func checkMAC(text string) (wrong, right string) {
	mac, err := net.ParseMAC(text)
	switch {
	case text == "":
		return "", ""
	case err != nil || len(mac) != 6:
		return fmt.Sprintf("%q is no hardware address", text), "write it as 02:42:ac:11:00:02"
	case mac[0]&1 != 0:
		return fmt.Sprintf("%q is a multicast address", text), "make the first byte even, such as 02"
	}
	return "", ""
}

func checkSubnet(text string) (wrong, right string) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Sprintf("%q is no subnet", text), "write it as 10.1.2.0/24 or fd00:1::/64"
	}
	sizes, example, family := "use /8 to /30", "10.1.2.0/24", "IPv4"
	large, small := prefix.Bits() < 8, prefix.Bits() > 30
	if prefix.Addr().Is6() {
		sizes, example, family = "use /16 to /120, such as /64", "fd00:1::/64", "IPv6"
		large, small = prefix.Bits() < 16, prefix.Bits() > 120
	}
	switch {
	case prefix.Masked() != prefix:
		return fmt.Sprintf("%q has host bits", text), "write " + prefix.Masked().String()
	case small:
		return fmt.Sprintf("%q is too small for a gateway and a container", text), sizes
	case large:
		return fmt.Sprintf("%q is too large", text), sizes
	case !usable(prefix.Addr()):
		return fmt.Sprintf("%q has another meaning in %s", text, family), "use a private range, such as " + example
	}
	return "", ""
}

func checkRange(text string) (wrong, right string) {
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no address range", text), "write it as 10.1.2.128/25, a part of the subnet"
	case prefix.Masked() != prefix:
		return fmt.Sprintf("%q has host bits", text), "write " + prefix.Masked().String()
	}
	return "", ""
}

// checkDriver allows the drivers of networks that we have.
func checkDriver(text string) (wrong, right string) {
	if text == "host" || text == "none" || text == "null" {
		return fmt.Sprintf("%q is no driver of a network of one's own", text), "write network_mode: host or network_mode: none in the service"
	}
	return oneOf("bridge macvlan ipvlan default", "*")(text)
}

// usable says whether a network of containers may begin at an address.
func usable(a netip.Addr) bool {
	if a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
		return false
	}
	return a.Is6() && !a.Is4In6() || a.Is4() && a.As4()[0] < 240 && a.As4()[0] > 0
}

func checkNetworkMode(text string) (wrong, right string) {
	return orOther(oneOf("none host bridge service:<name> container:<name>", ""))(text)
}

// orOther lets a namespace be another one's as well.
func orOther(check valueCheck) valueCheck {
	return func(text string) (wrong, right string) {
		for _, kind := range []string{types.ServicePrefix, types.ContainerPrefix} {
			if name, ok := strings.CutPrefix(text, kind); ok && name != "" {
				return "", ""
			}
		}
		return check(text)
	}
}

// checkHost checks the list form of extra_hosts, name=address or name:address.
func checkHost(text string) (wrong, right string) {
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		name, address, ok = strings.Cut(text, ":")
	}
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return fmt.Sprintf("%q is no host and address", text), "write name=10.0.0.1 or name=host-gateway"
	}
	for one := range strings.SplitSeq(address, ",") {
		if wrong, right = checkHostAddress(one); wrong != "" {
			return wrong, right
		}
	}
	return "", ""
}

func checkHostAddress(text string) (wrong, right string) {
	if text == "host-gateway" {
		return "", ""
	}
	if wrong, _ = checkAddress(text); wrong != "" {
		return wrong, "write an address such as 10.0.0.1, or host-gateway"
	}
	return "", ""
}
