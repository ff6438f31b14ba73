package ui

import (
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestPortsOnAllAddressesAreTold(t *testing.T) {
	container := func(service string, state spec.State, ports ...spec.Port) spec.Container {
		var c spec.Container
		c.Blueprint.Labels = map[string]string{labelService: service}
		c.Status.State, c.Status.Ports = state, ports
		return c
	}
	tcp := func(host string, port uint16) spec.Port {
		return spec.Port{HostIP: host, HostPort: port, ContainerPort: 80, Protocol: "tcp"}
	}
	for name, c := range map[string]struct {
		containers []spec.Container
		want       string
	}{
		"nothing":           {nil, ""},
		"on one's own":      {[]spec.Container{container("web", spec.StateRunning, tcp("127.0.0.1", 80), tcp("::1", 80), tcp("192.0.2.1", 80))}, ""},
		"of one that ended": {[]spec.Container{container("web", spec.StateExited, tcp("", 80))}, ""},
		"of both families, once": {[]spec.Container{
			container("web", spec.StateRunning, tcp("0.0.0.0", 8080), tcp("::", 8080)),
		}, `Other machines can reach web 8080. For this machine only: "127.0.0.1:8080:80".`},
		"several": {[]spec.Container{
			container("web", spec.StateRunning, tcp("", 8081)),
			container("db", spec.StatePaused, spec.Port{HostPort: 53, ContainerPort: 5353, Protocol: "udp"}, tcp("", 53)),
			container("web", spec.StateRunning, tcp("", 8080), tcp("127.0.0.1", 9)),
		}, `Other machines can reach db 53 53/udp, web 8080 8081. For this machine only: "127.0.0.1:53:80".`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exposed(c.containers); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
