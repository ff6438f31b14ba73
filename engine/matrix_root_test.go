package engine

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// The matrix: how a container is on networks × what must and must not be
// reached. One engine, another machine outside on a wire of the host's, and in
// each row a subject that serves TCP and UDP, a neighbour that shares its
// networks, and a stranger on a network of its own.
//
//	outside ── wire ── host ──┬── the subject's networks ── subject, neighbour
//	                          └── elsewhere ── stranger
type matrix struct {
	*rig
	outside     *kerneltest.NetNS
	hostAddr    string // of the host, on the wire
	outsideAddr string
	loopback    string
	// six are hostAddr, outsideAddr and loopback of IPv6.
	six        [3]string
	wirePrefix string // of IPv4, a /28
	program    string // e2e/testdata/reach
	stranger   string // a container
}

// What a row is asserted for, each by TCP and UDP where both exist.
const (
	cellName      = "name"      // the neighbour finds the subject by its name
	cellAddress   = "address"   // the neighbour reaches the subject's address
	cellStranger  = "stranger"  // a container of another network reaches that address
	cellPublished = "published" // the host reaches the published port on 127.0.0.1
	cellOwnAddr   = "own"       // and on an address of its own
	cellHairpin   = "hairpin"   // the neighbour reaches it by the host's address
	cellAcross    = "across"    // so does the stranger
	cellIn        = "in"        // and the machine outside
	cellDirect    = "direct"    // the machine outside reaches the subject's address
	cellOut       = "out"       // the subject reaches the machine outside
)

func allCells() []string {
	return []string{
		cellName, cellAddress, cellStranger, cellPublished, cellOwnAddr, cellHairpin, cellAcross, cellIn, cellDirect, cellOut,
	}
}

// row is one way of being on networks.
type row struct {
	name string
	// six has all be asked for by IPv6 addresses.
	six bool
	// reached are the cells that must answer; all others must not.
	reached []string
	// start starts the subject, which serves port 8000 and publishes it, and
	// the neighbour.
	start func(m *matrix) subject
}

type subject struct {
	id, neighbour string
	name          string
	addr          string // as the neighbour and others would reach it; "" if it has none
	port          uint16 // on the host; 0 if none is published
}

const subjectPort = 8000

func rows() []row {
	published := []string{cellPublished, cellOwnAddr, cellHairpin, cellAcross, cellIn}
	full := append([]string{cellName, cellAddress, cellOut}, published...)
	return []row{
		{"bridge", false, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one"})
			return m.bridged("one")
		}},
		{"two bridges", false, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one"})
			m.network(spec.Network{Name: "two"})
			return m.bridged("one", "two")
		}},
		{"internal", false, []string{cellName, cellAddress}, func(m *matrix) subject {
			m.network(spec.Network{Name: "one", Internal: true})
			return m.bridged("one")
		}},
		{"internal and bridge", false, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one", Internal: true})
			m.network(spec.Network{Name: "two"})
			return m.bridged("one", "two")
		}},
		{"host", false, append([]string{cellAddress, cellStranger, cellDirect, cellOut}, published...), func(m *matrix) subject {
			port := kerneltest.FreePorts(m.t, 1)
			b := m.server("subject", port)
			b.NetworkMode = modeHost
			m.network(spec.Network{Name: "one"})
			s := subject{name: "subject", addr: fmt.Sprintf("%s:%d", m.hostAddr, port), port: uint16(port)}
			s.id, s.neighbour = m.start(b), m.start(m.asker("neighbour", "one"))
			return s
		}},
		{"none", false, nil, func(m *matrix) subject {
			m.network(spec.Network{Name: "one"})
			s := subject{name: "subject"}
			s.id, s.neighbour = m.start(m.server("subject", subjectPort)), m.start(m.asker("neighbour", "one"))
			return s
		}},
		{"container:x", false, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one"})
			owner := m.asker("subject", "one")
			owner.Ports = []spec.Port{{ContainerPort: subjectPort, Protocol: "tcp"}, {ContainerPort: subjectPort, Protocol: "udp"}}
			own := m.start(owner)
			guest := m.server("guest", subjectPort)
			guest.NetworkMode = modeContainer + own
			s := m.describe(own)
			s.id, s.neighbour = m.start(guest), m.start(m.asker("neighbour", "one"))
			return s
		}},
		{"IPv6", true, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one", EnableIPv6: true})
			return m.bridged("one")
		}},
		{"IPv6 alone", true, full, func(m *matrix) subject {
			m.network(spec.Network{Name: "one", EnableIPv6: true, DisableIPv4: true})
			return m.bridged("one")
		}},
		// On the wire itself: what is outside reaches it, and the host does not.
		{"macvlan", false, []string{cellName, cellAddress, cellDirect, cellOut}, func(m *matrix) subject {
			m.macvlan("one")
			s := m.describe(m.start(m.onWire(m.server("subject", subjectPort))))
			s.neighbour = m.start(m.onWire(m.asker("neighbour")))
			return s
		}},
	}
}

func TestMatrixOfNetworks(t *testing.T) {
	for _, row := range rows() {
		t.Run(row.name, func(t *testing.T) {
			m := newMatrix(t)
			m.check(row)
		})
	}
}

// DNS is inside the container: nothing of ours listens on the gateway, nor on
// any address of the host (test 39 of the design's list).
func TestNothingOfOursListensOnTheGateway(t *testing.T) {
	m := newMatrix(t)
	id := m.start(m.asker("asker", "elsewhere"))
	out, code := m.run(id, "ip route | grep default | cut -d' ' -f3")
	gateway := strings.TrimSpace(out)
	if code != 0 || gateway == "" {
		t.Fatalf("no gateway: %d, %q", code, out)
	}
	for _, port := range []int{53, 80, 2375} {
		for _, network := range []string{"tcp", "udp"} {
			out, code := m.run(id, fmt.Sprintf("/reach ask %s %s:%d %d", network, gateway, port, silence))
			if code == 0 {
				t.Errorf("%s port %d of the gateway answers %q", network, port, out)
			}
		}
	}
	listens, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr(gateway).As4()
	if bound := fmt.Sprintf(" %02X%02X%02X%02X:", addr[3], addr[2], addr[1], addr[0]); strings.Contains(string(listens), bound) {
		t.Errorf("somebody is bound to the gateway:\n%s", listens)
	}
}

func newMatrix(t *testing.T) *matrix {
	r := newRig(t)
	m := &matrix{rig: r, program: filepath.Join(t.TempDir(), "reach")}
	if err := kerneltest.Build(m.program, "e2e/testdata/reach", ""); err != nil {
		t.Fatal(err)
	}
	m.wire()
	m.network(spec.Network{Name: "elsewhere", EnableIPv6: m.six[0] != ""})
	m.stranger = m.start(m.asker("stranger", "elsewhere"))
	return m
}

// server is a container that answers "subject" on a port.
func (m *matrix) server(name string, port int) spec.Blueprint {
	b := m.asker(name)
	b.Entrypoint = []string{"/reach", "serve", fmt.Sprint(port), "subject"}
	return b
}

// asker is a container that waits for commands.
func (m *matrix) asker(name string, networks ...string) spec.Blueprint {
	b := shell(name, forever)
	b.Mounts = []spec.Mount{{Type: spec.MountBind, Source: m.program, Target: "/reach", ReadOnly: true}}
	if len(networks) == 0 {
		return b
	}
	var places []spec.Attachment
	for _, n := range networks {
		places = append(places, spec.Attachment{Network: n})
	}
	return on(b, places...)
}

// bridged is a subject on networks of ours, and a neighbour on the last of
// them.
func (m *matrix) bridged(networks ...string) subject {
	m.t.Helper()
	b := m.asker("subject", networks...)
	b.Entrypoint = m.server("subject", subjectPort).Entrypoint
	b.Ports = []spec.Port{{ContainerPort: subjectPort, Protocol: "tcp"}, {ContainerPort: subjectPort, Protocol: "udp"}}
	s := m.describe(m.start(b))
	s.neighbour = m.start(m.asker("neighbour", networks[len(networks)-1]))
	return s
}

// describe takes a subject's last address and its TCP port, whose number its UDP
// port need not have: udpPort finds that.
func (m *matrix) describe(id string) subject {
	m.t.Helper()
	st := m.status(id)
	at := st.Endpoints[len(st.Endpoints)-1]
	addr := at.IPv4
	if m.loopback == m.six[2] {
		addr = at.IPv6
	}
	s := subject{id: id, name: "subject", addr: net.JoinHostPort(addr, fmt.Sprint(subjectPort))}
	if len(st.Ports) > 0 {
		s.port = st.Ports[0].HostPort
	}
	return s
}

// silence in milliseconds is how long an answer that must not come is waited
// for; one that must come has half a minute.
const silence, speech = 400, 30000

// check asserts every cell of a row.
func (m *matrix) check(row row) {
	m.t.Helper()
	if row.six {
		needIPv6(m.t)
		m.hostAddr, m.outsideAddr, m.loopback = m.six[0], m.six[1], m.six[2]
	}
	s := row.start(m)
	wanted := map[string]bool{}
	for _, cell := range row.reached {
		wanted[cell] = true
	}
	if wanted[cellAddress] { // the server is there
		kerneltest.Eventually(m.t, patience, func() error { return m.inside(s.neighbour, "tcp", s.addr, "subject", silence) })
	}
	for _, cell := range allCells() {
		for _, network := range []string{"tcp", "udp"} {
			wait := silence
			if wanted[cell] {
				wait = speech
			}
			err := m.try(cell, network, s, wait)
			switch {
			case errors.Is(err, errNoSuchCell):
			case wanted[cell] && err != nil:
				m.t.Errorf("%s by %s: %v", cell, network, err)
			case !wanted[cell] && err == nil:
				m.t.Errorf("%s by %s: it is reached, and must not be", cell, network)
			}
		}
	}
}

// errNoSuchCell means that a row cannot even try a cell.
var errNoSuchCell = errors.New("nothing to ask for")

// try is nil if the right one answers.
func (m *matrix) try(cell, network string, s subject, wait int) error {
	hostPort := m.udpPort(s, network)
	at := func(host string) string { return net.JoinHostPort(host, fmt.Sprint(hostPort)) }
	needs := map[string]bool{cellAddress: s.addr == "", cellStranger: s.addr == "", cellDirect: s.addr == ""}
	for _, c := range []string{cellPublished, cellOwnAddr, cellHairpin, cellAcross, cellIn} {
		needs[c] = hostPort == 0
	}
	if needs[cell] {
		return errNoSuchCell
	}
	switch cell {
	case cellName:
		_, port, err := net.SplitHostPort(s.addr)
		if err != nil {
			port = fmt.Sprint(subjectPort)
		}
		return m.inside(s.neighbour, network, net.JoinHostPort(s.name, port), "subject", wait)
	case cellAddress:
		return m.inside(s.neighbour, network, s.addr, "subject", wait)
	case cellStranger:
		return m.inside(m.stranger, network, s.addr, "subject", wait)
	case cellPublished:
		return errors.Join(reach(network, at(m.loopback), "subject", wait), reach(network, at("127.0.0.1"), "subject", wait))
	case cellOwnAddr:
		return reach(network, at(m.hostAddr), "subject", wait)
	case cellHairpin:
		return m.inside(s.neighbour, network, at(m.hostAddr), "subject", wait)
	case cellAcross:
		return m.inside(m.stranger, network, at(m.hostAddr), "subject", wait)
	case cellIn:
		return m.outside.Try(func() error { return reach(network, at(m.hostAddr), "subject", wait) })
	case cellDirect:
		return m.outside.Try(func() error { return reach(network, s.addr, "subject", wait) })
	case cellOut:
		return m.inside(s.id, network, net.JoinHostPort(m.outsideAddr, fmt.Sprint(subjectPort)), "outside", wait)
	}
	return fmt.Errorf("unknown cell %s", cell)
}

// udpPort is the host's port of the subject for a protocol.
func (m *matrix) udpPort(s subject, network string) uint16 {
	for _, l := range m.engine.all() {
		c, _, _ := l.look()
		for _, p := range c.Status.Ports {
			if l.name() == s.name && p.Protocol == network {
				return p.HostPort
			}
		}
	}
	return s.port
}
