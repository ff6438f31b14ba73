package ui

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Exposure says on standard error which ports of running containers listen on
// all addresses of this machine, so that other machines reach them.
func (s *Screen) Exposure(containers []spec.Container) {
	if s.o.Mode == ModeQuiet || s.o.Mode == ModeJSON {
		return
	}
	if text := exposed(containers); text != "" {
		s.Notice("open to other machines: " + text + " (127.0.0.1:PORT:PORT keeps a port here, the setting host_address all)")
	}
}

// exposed lists them by service: "db 5432, web 8080 8443/udp".
func exposed(containers []spec.Container) string {
	ports := map[string][]spec.Port{}
	var services []string
	for _, c := range containers {
		if !c.Status.Up() {
			continue
		}
		service := c.Blueprint.Labels[labelService]
		if service == "" {
			service = c.Blueprint.Name
		}
		for _, p := range c.Status.Ports {
			if everywhere(p.HostIP) && p.HostPort != 0 {
				ports[service] = append(ports[service], p)
			}
		}
		if len(ports[service]) > 0 && !slices.Contains(services, service) {
			services = append(services, service)
		}
	}
	slices.Sort(services)
	var out []string
	for _, service := range services {
		list := ports[service]
		slices.SortFunc(list, func(a, b spec.Port) int {
			if a.HostPort != b.HostPort {
				return int(a.HostPort) - int(b.HostPort)
			}
			return strings.Compare(a.Protocol, b.Protocol)
		})
		words := []string{service}
		for _, p := range list {
			word := strconv.Itoa(int(p.HostPort))
			if p.Protocol != "tcp" {
				word += "/" + p.Protocol
			}
			if words[len(words)-1] != word {
				words = append(words, word)
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, ", ")
}

// everywhere reports whether a host address stands for all of a family.
func everywhere(hostIP string) bool {
	if hostIP == "" {
		return true
	}
	addr, err := netip.ParseAddr(hostIP)
	return err == nil && addr.IsUnspecified()
}
