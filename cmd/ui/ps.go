package ui

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// labels that docker compose gives its containers.
const (
	labelService = "com.docker.compose.service"
	labelProject = "com.docker.compose.project"
)

// Process is one row of ps; the JSON form is docker compose's.
type Process struct {
	Command      string
	CreatedAt    string
	Engine       string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []Publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string
}

// Publisher is one port of a row; URL is empty for one that is only exposed.
type Publisher struct {
	URL           string
	TargetPort    uint16
	PublishedPort uint16
	Protocol      string
}

// Processes is ps. full leaves commands and ids uncut.
func (s *Screen) Processes(containers []spec.Container, format string, full bool) error {
	now := s.o.Now()
	rows := make([]any, len(containers))
	processes := make([]Process, len(containers))
	for i, c := range containers {
		processes[i] = process(c, now, full)
		rows[i] = processes[i]
	}
	return s.List(Listing{
		Columns: []string{"NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"},
		Cells: func(i int) []string {
			p := processes[i]
			return []string{p.Name, p.Image, p.Command, p.Service, p.RunningFor, p.Status, p.Ports}
		},
		Rows: rows,
	}, format)
}

func process(c spec.Container, now time.Time, full bool) Process {
	b, st := c.Blueprint, c.Status
	command := commandLine(st.Command)
	id := b.ID
	if !full {
		command, id = cut(command, 20), id[:min(12, len(id))]
	}
	var networks, mounts []string
	for _, n := range b.Networks {
		networks = append(networks, n.Network)
	}
	slices.Sort(networks)
	volumes := 0
	for _, m := range b.Mounts {
		name := m.Source
		if m.Type == spec.MountVolume {
			volumes++
			name = cmp.Or(name, st.Volumes[m.Target])
		}
		if m.Type != spec.MountTmpfs {
			mounts = append(mounts, name)
		}
	}
	publishers := publishers(st)
	exitCode := st.ExitCode
	if st.State == spec.StateRunning || st.State == spec.StateRestarting {
		exitCode = 0
	}
	return Process{
		Command: strconv.Quote(command), CreatedAt: st.CreatedAt.UTC().Format("2006-01-02 15:04:05 -0700 MST"),
		ExitCode: exitCode, Health: string(st.Health), ID: id, Image: b.Image,
		Labels: labels(b.Labels), LocalVolumes: strconv.Itoa(volumes), Mounts: strings.Join(mounts, ","),
		Name: b.Name, Names: b.Name, Networks: strings.Join(networks, ","), Ports: ports(publishers),
		Project: b.Labels[labelProject], Publishers: publishers, RunningFor: ago(now.Sub(st.CreatedAt)) + " ago",
		Service: b.Labels[labelService], Size: "0B", State: string(st.State), Status: status(st, now),
	}
}

func labels(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// status is the column of that name: "Up 2 seconds (healthy)".
func status(s spec.Status, now time.Time) string {
	reason := ""
	if s.Reason != "" {
		reason = " (" + cut(clean(s.Reason), 60) + ")"
	}
	switch s.State {
	case spec.StateRunning:
		health := ""
		switch s.Health {
		case spec.HealthStarting:
			health = " (health: starting)"
		case spec.HealthHealthy, spec.HealthUnhealthy:
			health = " (" + string(s.Health) + ")"
		}
		return "Up " + ago(now.Sub(s.StartedAt)) + health
	case spec.StatePaused:
		return "Up " + ago(now.Sub(s.StartedAt)) + " (Paused)"
	case spec.StateRestarting:
		return fmt.Sprintf("Restarting (%d) %s ago%s", s.ExitCode, ago(now.Sub(s.ExitedAt)), reason)
	case spec.StateExited:
		return fmt.Sprintf("Exited (%d) %s ago%s", s.ExitCode, ago(now.Sub(s.ExitedAt)), reason)
	case spec.StateCreated:
		return "Created"
	}
	return string(s.State)
}

// publishers lists exposed ports first, then published ones, both families of
// an address that is all of them.
func publishers(s spec.Status) []Publisher {
	out := []Publisher{}
	published := map[string]bool{}
	for _, p := range s.Ports {
		published[fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)] = true
	}
	for _, e := range s.ExposedPorts {
		number, protocol, _ := strings.Cut(e, "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err == nil && !published[e] {
			out = append(out, Publisher{TargetPort: uint16(port), Protocol: cmp.Or(protocol, "tcp")})
		}
	}
	for _, p := range s.Ports {
		hosts := []string{p.HostIP}
		if p.HostIP == "" {
			hosts = []string{"0.0.0.0", "::"}
		}
		for _, host := range hosts {
			out = append(out, Publisher{host, p.ContainerPort, p.HostPort, p.Protocol})
		}
	}
	return out
}

func ports(publishers []Publisher) string {
	var out []string
	for _, p := range publishers {
		target := fmt.Sprintf("%d/%s", p.TargetPort, p.Protocol)
		if p.URL != "" {
			host := p.URL
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			target = fmt.Sprintf("%s:%d->%s", host, p.PublishedPort, target)
		}
		out = append(out, target)
	}
	return strings.Join(out, ", ")
}
