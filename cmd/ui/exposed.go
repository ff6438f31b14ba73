package ui

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Exposure says on standard error which ports of running containers listen on
// all addresses of this machine, so that other machines reach them, and how one is
// kept from them.
func (s *Screen) Exposure(containers []spec.Container) {
	if s.o.Mode == ModeQuiet || s.o.Mode == ModeJSON {
		return
	}
	if text := exposed(containers); text != "" {
		s.Notice(text)
	}
}

// exposed lists them by service:
//
//	Other machines can reach db 5432, web 8080 8443/udp. For this machine only: "127.0.0.1:5432:5432".
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
	example := ""
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
			rule := "127.0.0.1:" + word + ":" + strconv.Itoa(int(p.ContainerPort))
			if p.Protocol != "tcp" {
				word, rule = word+"/"+p.Protocol, rule+"/"+p.Protocol
			}
			example = cmp.Or(example, rule)
			if words[len(words)-1] != word {
				words = append(words, word)
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("Other machines can reach %s. For this machine only: %q.", strings.Join(out, ", "), example)
}

// everywhere reports whether a host address stands for all of a family.
func everywhere(hostIP string) bool {
	if hostIP == "" {
		return true
	}
	addr, err := netip.ParseAddr(hostIP)
	return err == nil && addr.IsUnspecified()
}
