package ui

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Summary is what a person wants to know when an operation has ended.
type Summary struct {
	// Project is its name; "" tells nothing about containers.
	Project    string
	Containers []spec.Container
	// Next are commands to type.
	Next []string
}

// Summary says on standard error what runs, at which URLs, and what to type
// next. It is for people: only a terminal with progress gets it.
func (s *Screen) Summary(m Summary) {
	if s.o.Mode != ModeTTY {
		return
	}
	columns, _ := s.o.Size()
	for _, l := range m.lines() {
		s.Notice(cut(l, max(20, columns-1)))
	}
	if len(m.Next) > 0 {
		s.Notice(s.paint("2", cut("next: "+strings.Join(m.Next, " · "), max(20, columns-1))))
	}
}

func (m Summary) lines() []string {
	if m.Project == "" {
		return nil
	}
	lines := []string{m.Project + ": " + m.states()}
	width := 0
	urls := map[string][]string{}
	var names []string
	for _, c := range m.Containers {
		service := c.Blueprint.Labels[labelService]
		if c.Status.State != spec.StateRunning {
			continue
		}
		for _, u := range URLs(c.Status.Ports) {
			if !slices.Contains(urls[service], u) {
				urls[service] = append(urls[service], u)
			}
		}
		if len(urls[service]) > 0 && !slices.Contains(names, service) {
			names = append(names, service)
			width = max(width, cells(service))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		lines = append(lines, "  "+pad(name, width)+"  "+strings.Join(urls[name], ", "))
	}
	return lines
}

// states counts containers: "3 running, 1 unhealthy, 1 done".
func (m Summary) states() string {
	counts := map[string]int{}
	for _, c := range m.Containers {
		counts[stateWord(c.Status)]++
	}
	var words []string
	for _, word := range []string{"running", "starting", "unhealthy", "restarting", "paused", "done", "failed", "created"} {
		if n := counts[word]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, word))
		}
	}
	return cmp.Or(strings.Join(words, ", "), "nothing runs")
}

func stateWord(s spec.Status) string {
	switch {
	case s.State == spec.StateRunning && s.Health == spec.HealthUnhealthy:
		return "unhealthy"
	case s.State == spec.StateRunning && s.Health == spec.HealthStarting:
		return "starting"
	case s.State == spec.StateExited && s.ExitCode == 0:
		return "done"
	case s.State == spec.StateExited:
		return "failed"
	}
	return string(s.State)
}

// silent are ports of servers that speak no HTTP: ssh, smtp, dns and databases,
// queues and caches; a URL for a browser would mislead.
var silent = [...]uint16{21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 3306, 4222, 5432, 5672, 6379, 6380, 9042, 9092, 11211, 26257, 27017, 33060}

// URLs are the published TCP ports as a browser takes them, or host:port for
// those that are known not to speak HTTP. Each host port is told once.
func URLs(ports []spec.Port) []string {
	var out []string
	seen := map[uint16]bool{}
	for _, p := range ports {
		if p.Protocol != "tcp" || p.HostPort == 0 || seen[p.HostPort] {
			continue
		}
		seen[p.HostPort] = true
		host := p.HostIP
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		at := net.JoinHostPort(host, strconv.Itoa(int(p.HostPort)))
		switch {
		case slices.Contains(silent[:], p.ContainerPort):
		case p.ContainerPort == 443 || p.ContainerPort == 8443:
			at = "https://" + strings.TrimSuffix(at, ":443")
		default:
			at = "http://" + strings.TrimSuffix(at, ":80")
		}
		out = append(out, at)
	}
	return out
}

// Failure is a container that made an operation fail.
type Failure struct {
	Container spec.Container
	// Waiters are the services that wait for it.
	Waiters []string
}

// Failure says on standard error how it ended and who waits for it. Its log
// follows (Logs); why it was not enough is the operation's error.
func (s *Screen) Failure(f Failure) {
	if s.o.Mode == ModeQuiet || s.o.Mode == ModeJSON {
		return
	}
	s.Notice(s.paint("31", f.text()))
}

func (f Failure) text() string {
	st := f.Container.Status
	var words []string
	switch st.State {
	case spec.StateExited, spec.StateRestarting:
		words = append(words, fmt.Sprintf("exited with code %d", st.ExitCode))
		if st.OOMKilled {
			words = append(words, "out of memory")
		} else if st.Reason != "" {
			words = append(words, clean(st.Reason))
		}
	case spec.StateCreated:
		words = append(words, "was not started")
	default:
		words = append(words, "is "+strings.TrimSpace(string(st.State)+" "+string(st.Health)))
	}
	if st.Restarts > 0 {
		words = append(words, fmt.Sprintf("restarted %d times", st.Restarts))
	}
	if len(f.Waiters) > 0 {
		words = append(words, "waited for by "+strings.Join(f.Waiters, ", "))
	}
	return "container " + f.Container.Blueprint.Name + " " + strings.Join(words, ", ")
}
