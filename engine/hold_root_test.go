package engine

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// publishedWeb starts a container that answers hello on a port of 127.0.0.1.
func publishedWeb(r *rig, network string) (id, addr string) {
	r.t.Helper()
	r.network(spec.Network{Name: network})
	b := on(shell("web", "exec nc -ll -p 80 -e echo hello"), spec.Attachment{Network: network})
	b.Ports = []spec.Port{{HostIP: "127.0.0.1", ContainerPort: 80, Protocol: "tcp"}}
	b.Init = true // nc obeys no signal as the first process
	id = r.start(b)
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
		var waiting []net.Conn
		for range 5 {
			conn, err := net.DialTimeout("tcp4", addr, patience)
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			waiting = append(waiting, conn)
		}
		if err := r.engine.StartContainer(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		for _, conn := range waiting {
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if err != nil || strings.TrimSpace(string(got)) != "hello" {
				t.Errorf("answered %q, %v", got, err)
			}
			conn.Close()
		}
		letGo(r, id)
		r.answers(addr, "hello")
	}
	r.noProxy()
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
	if port, waiting, ok := listener(line); port != 80 || waiting != 3 || !ok {
		t.Errorf("got %d, %d, %v", port, waiting, ok)
	}
	for _, other := range []string{"", "  sl  local_address rem_address   st tx_queue rx_queue\n", "   1: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:0 0\n"} {
		if _, _, ok := listener(other); ok {
			t.Errorf("%q is a listener", other)
		}
	}
}
