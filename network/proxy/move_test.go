package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// dialled is a connection that sends x, and gives up after a while.
func dialled(t *testing.T, at string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(generous))
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// hearing is a container that tells of each connection's first byte, and sends it
// back once the client has ended.
func hearing(t *testing.T) (target Target, heard <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tell := make(chan struct{}, 10)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				first := make([]byte, 1)
				if _, err := io.ReadFull(c, first); err != nil {
					return
				}
				tell <- struct{}{}
				_, _ = io.Copy(io.Discard, c)
				_, _ = c.Write(first)
			})
		}
	})
	t.Cleanup(func() { l.Close(); group.Wait() })
	return targetAt(l.Addr().String()), tell
}

// echoed ends the sending and waits for what comes back.
func echoed(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	err := conn.CloseWrite()
	got, readErr := io.ReadAll(conn)
	if err = errors.Join(err, readErr); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A place that is moved listens on: who has come goes on, who comes while it
// holds waits, until a move lets all through to where it leads by then. Under
// another id, what was connected ends.
func TestAPlaceThatIsMovedListensOn(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	kept, at := reserved(t)
	first, heard := hearing(t)
	second, nowhere := echo(t), Target{Addr: [4]byte{127, 0, 0, 1}, Port: 1}
	d.make(t, Change{Add: []Entry{{ID: "old", Listener: duplicate(t, kept), Target: first}}})
	talking := dialled(t, at)
	<-heard
	d.make(t, Change{Move: []Move{{From: "old", ID: "old", Target: first, Hold: 10 * generous}}})
	waiting := dialled(t, at)
	echoed(t, talking)
	d.make(t, Change{Move: []Move{{From: "old", ID: "old", Target: first}}})
	echoed(t, waiting)
	<-heard

	talking = dialled(t, at)
	<-heard
	d.make(t, Change{Move: []Move{{From: "old", ID: "old", Target: first, Hold: 10 * generous}}})
	waiting = dialled(t, at)
	d.make(t, Change{Move: []Move{{From: "old", ID: "nobody", Target: nowhere, Hold: 10 * generous}}})
	if got, err := io.ReadAll(talking); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what was connected goes on: %q, %v", got, err)
	}
	d.make(t, Change{Move: []Move{{From: "nobody", ID: "new", Target: second, Hold: 10 * generous}}})
	d.make(t, Change{Move: []Move{{From: "new", ID: "new", Target: second}}})
	echoed(t, waiting)
	echoed(t, dialled(t, at))

	failed := make(chan map[string]error, 1)
	d.changes <- Change{Move: []Move{{From: "old", ID: "newer"}}, Done: func(f map[string]error) { failed <- f }}
	if err := (<-failed)["newer"]; err == nil {
		t.Error("what is not there was moved")
	}
	d.make(t, Change{Drain: []string{"new"}})
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}
