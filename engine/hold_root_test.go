package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// webOf is a container that answers hello on port 80.
func webOf(network string, ports ...spec.Port) spec.Blueprint {
	b := on(shell("web", "exec nc -ll -p 80 -e echo hello"), spec.Attachment{Network: network})
	b.Ports = ports
	b.Init = true // nc obeys no signal as the first process
	return b
}

// publishedWeb starts a container that answers hello on a port of 127.0.0.1.
func publishedWeb(r *rig, network string) (id, addr string) {
	r.t.Helper()
	r.network(spec.Network{Name: network})
	id = r.start(webOf(network, spec.Port{HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"}))
	addr = fmt.Sprintf("127.0.0.1:%d", r.status(id).Ports[0].HostPort)
	r.answers(addr, "hello")
	return id, addr
}

func stopAndKeep(r *rig, id string) {
	r.t.Helper()
	if err := r.engine.StopContainer(r.t.Context(), id, spec.Stop{Keep: true}); err != nil {
		r.t.Fatal(err)
	}
}

// Who comes while a container is started anew waits, and is answered by the new
// process; then the kernel translates again and the proxy leaves.
func TestConnectionsWaitWhileAContainerIsStartedAnew(t *testing.T) {
	r := newRig(t)
	id, addr := publishedWeb(r, "n")
	for range 3 {
		stopAndKeep(r, id)
		waiting := comeAndWait(t, 5, addr)
		if err := r.engine.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		waiting.areAnswered("hello")
		letGo(r, id)
		r.answers(addr, "hello")
	}
	r.noProxy()
}

// waiting are connections that were accepted and not answered yet.
type waiting struct {
	t     *testing.T
	conns []net.Conn
}

func comeAndWait(t *testing.T, count int, addrs ...string) waiting {
	t.Helper()
	w := waiting{t: t}
	for range count {
		for _, addr := range addrs {
			conn, err := net.DialTimeout("tcp", addr, patience)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			w.conns = append(w.conns, conn)
		}
	}
	return w
}

func (w waiting) areAnswered(want string) {
	w.t.Helper()
	for _, conn := range w.conns {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			w.t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || strings.TrimSpace(string(got)) != want {
			w.t.Errorf("%s answered %q, %v", conn.RemoteAddr(), got, err)
		}
		conn.Close()
	}
}

// areLetDown waits until they end without an answer.
func (w waiting) areLetDown() {
	w.t.Helper()
	for _, conn := range w.conns {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			w.t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			w.t.Errorf("%s answered %q, %v", conn.RemoteAddr(), got, err)
		}
		conn.Close()
	}
}

// bothFamilies is a port of the host's on all addresses, and where it is reached.
func bothFamilies(t *testing.T) (p spec.Port, addrs []string) {
	needIPv6(t)
	p = spec.Port{HostPort: uint16(kerneltest.FreePorts(t, 1)), ContainerPort: 80, Protocol: "tcp"}
	return p, []string{fmt.Sprintf("127.0.0.1:%d", p.HostPort), fmt.Sprintf("[::1]:%d", p.HostPort)}
}

// On IPv6 the proxy is in the way anyhow, and holds too.
func TestConnectionsWaitOnBothFamilies(t *testing.T) {
	p, addrs := bothFamilies(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	id := r.start(webOf("n", p))
	for range 3 {
		for _, addr := range addrs {
			r.answers(addr, "hello")
		}
		stopAndKeep(r, id)
		waiting := comeAndWait(t, 3, addrs...)
		if err := r.engine.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		waiting.areAnswered("hello")
		letGo(r, id)
	}
}

// stopToPass stops and removes a container that another one follows.
func stopToPass(r *rig, id string) {
	r.t.Helper()
	if err := r.engine.StopContainer(r.t.Context(), id, spec.Stop{PassPorts: true}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.engine.RemoveContainer(r.t.Context(), id, spec.Remove{KeepLog: true}); err != nil {
		r.t.Fatal(err)
	}
}

// Who comes while a container is made anew waits for the new one, whatever its
// address is; so does who comes while that is stopped and started.
func TestConnectionsWaitWhileAContainerIsMadeAnew(t *testing.T) {
	p, addrs := bothFamilies(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	id := r.start(webOf("n", p))
	for i := range 3 {
		for _, addr := range addrs {
			r.answers(addr, "hello")
		}
		before := r.status(id).Endpoints[0].IPv4
		stopToPass(r, id)
		waiting := comeAndWait(t, 3, addrs...)
		b := webOf("n", p)
		b.Networks[0].IPv4Address = strings.TrimSuffix(before, before[strings.LastIndex(before, "."):]) + fmt.Sprintf(".%d", 100+i)
		id = r.start(b)
		waiting.areAnswered("hello")
		letGo(r, id)
		for _, addr := range addrs {
			r.answers(addr, "hello")
		}
		stopAndKeep(r, id)
		waiting = comeAndWait(t, 1, addrs...)
		if err := r.engine.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		waiting.areAnswered("hello")
		letGo(r, id)
		r.reopen() // what the next engine finds is as ever
	}
}

// Ports that wait for a container which does not come are in nobody's way.
func TestPassedPortsGiveWay(t *testing.T) {
	p, addrs := bothFamilies(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	r.network(spec.Network{Name: "other"})
	web := r.start(webOf("n", p))
	r.answers(addrs[1], "hello")
	stopToPass(r, web)
	waiting := comeAndWait(t, 1, addrs...)
	mine := p
	mine.HostIP = "127.0.0.1"
	b := webOf("other", mine)
	b.Name = "another"
	if errs := r.engine.Check(t.Context(), []spec.Blueprint{b}, nil, nil); len(errs) > 0 {
		t.Errorf("checked: %v", errs)
	}
	another := r.start(b)
	waiting.areLetDown()
	r.answers(addrs[0], "hello")
	refusedAt(t, addrs[1])

	stopToPass(r, another)
	waiting = comeAndWait(t, 1, addrs[0])
	if err := r.engine.RemoveNetwork(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	waiting.areLetDown()
	refusedAt(t, addrs[0])
	r.noProxy()

	web = r.start(webOf("n", p))
	r.answers(addrs[1], "hello")
	stopToPass(r, web)
	r.reopen() // the daemon is killed in between
	refusedAt(t, addrs[0])
	refusedAt(t, addrs[1])
	r.noProxy()
	r.start(webOf("n", p))
	r.answers(addrs[1], "hello")
}

func refusedAt(t *testing.T, addr string) {
	t.Helper()
	if conn, err := net.DialTimeout("tcp", addr, patience); err == nil {
		conn.Close()
		t.Errorf("somebody accepts at %s", addr)
	}
}

// letGo waits until nothing of a container is held any more.
func letGo(r *rig, id string) {
	r.t.Helper()
	kerneltest.Eventually(r.t, patience, func() error {
		l := mustLife(r.t, r, id)
		l.turn.Lock()
		defer l.turn.Unlock()
		if l.held.hold != nil {
			return fmt.Errorf("ports are held: %+v", l.held.hold)
		}
		return nil
	})
}

func TestHeldPortsAreLetGoByWhateverComes(t *testing.T) {
	r := newRig(t)
	id, addr := publishedWeb(r, "n")
	refused := func(what string) {
		t.Helper()
		if conn, err := net.DialTimeout("tcp4", addr, patience); err == nil {
			conn.Close()
			t.Errorf("after %s somebody accepts", what)
		}
	}
	stopAndKeep(r, id)
	r.stop(id) // and no start
	refused("a stop")
	r.noProxy()
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", r.status(id).Ports[0].HostPort)
	r.answers(addr, "hello")
	stopAndKeep(r, id)
	conn, err := net.DialTimeout("tcp4", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.reopen() // the daemon is killed: nobody starts it
	refused("the end of the daemon")
	r.noProxy()
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	addr = fmt.Sprintf("127.0.0.1:%d", r.status(id).Ports[0].HostPort)
	r.answers(addr, "hello")
}

func TestListenersAreReadFromProc(t *testing.T) {
	const line = "   0: 00000000:0050 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1 1 0000000000000000 100 0 0 10 0\n"
	if l, ok := listener(line); l.Port != 80 || l.Queued != 3 || !ok {
		t.Errorf("got %+v, %v", l, ok)
	}
	for _, other := range []string{"", "  sl  local_address rem_address   st tx_queue rx_queue\n", "   1: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:0 0\n"} {
		if _, ok := listener(other); ok {
			t.Errorf("%q is a listener", other)
		}
	}
}
