package proxy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const generous = time.Minute

// daemon is the other side of Changes.
type daemon struct {
	changes chan Change
	closed  sync.Once
	done    chan struct{}
}

func newDaemon() *daemon { return &daemon{changes: make(chan Change), done: make(chan struct{})} }

func (d *daemon) Next() (Change, error) {
	select {
	case c, ok := <-d.changes:
		if !ok {
			return Change{}, io.EOF
		}
		return c, nil
	case <-d.done:
		return Change{}, errors.New("closed")
	}
}

func (d *daemon) Wake() {
	select {
	case d.changes <- Change{}:
	case <-d.done:
	}
}

func (d *daemon) Close() error {
	d.closed.Do(func() { close(d.done) })
	return nil
}

// start runs a proxy; wait gives its result.
func start(t *testing.T, d *daemon) (wait func() error) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		result <- Run(d, func(id string, err error) { t.Logf("%s: %v", id, err) })
	}()
	return func() error {
		select {
		case err := <-result:
			return err
		case <-time.After(generous):
			return errors.New("the proxy runs on")
		}
	}
}

// reserved is a bound socket on ::1 that does not listen, as the keeper's are:
// bound to its port by number, since a port that the kernel chose is given up
// when the socket stops listening.
func reserved(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("needs kernel feature: IPv6 on the loopback: ", err)
	}
	port := int(netip.MustParseAddrPort(l.Addr().String()).Port())
	l.Close()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	loop := netip.IPv6Loopback().As16()
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: loop, Port: port}); err != nil {
		unix.Close(fd)
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "reserved")
	t.Cleanup(func() { f.Close() })
	return f, fmt.Sprintf("[::1]:%d", port)
}

func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "duplicate")
}

// echo is a container that sends back what it got once the client has ended.
func echo(t *testing.T) Target {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				_, _ = c.Write(b)
			})
		}
	})
	t.Cleanup(func() { l.Close(); group.Wait() })
	return targetAt(l.Addr().String())
}

func targetAt(text string) Target {
	a := netip.MustParseAddrPort(text)
	return Target{Addr: a.Addr().As4(), Port: a.Port()}
}

func talk(at string, data []byte) ([]byte, error) {
	c, err := net.Dial("tcp", at)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(generous))
	if _, err := c.Write(data); err != nil {
		return nil, err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

func TestBytesComeThroughBothWaysAndEnds(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	kept, at := reserved(t)
	d.changes <- Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: echo(t)}}}
	data := make([]byte, 3<<20)
	_, _ = rand.Read(data)

	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got, err := talkSoon(at, data)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	group.Wait()
	d.changes <- Change{Remove: []string{"web"}}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}

// talkSoon tries until the proxy has taken the change and the answer is there.
func talkSoon(at string, data []byte) ([]byte, error) {
	for end := time.Now().Add(generous); ; time.Sleep(time.Millisecond) {
		got, err := talk(at, data)
		if err == nil && len(got) > 0 || time.Now().After(end) {
			return got, err
		}
	}
}

func TestARemovedPlaceRefusesAlthoughItsPortStaysReserved(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	one, atOne := reserved(t)
	two, atTwo := reserved(t)
	target := echo(t)
	d.changes <- Change{Add: []Entry{
		{ID: "one", Listener: duplicate(t, one), Target: target},
		{ID: "two", Listener: duplicate(t, two), Target: target},
	}}
	if _, err := talkSoon(atOne, []byte("x")); err != nil {
		t.Fatal(err)
	}
	open, err := net.Dial("tcp", atOne)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	d.changes <- Change{Remove: []string{"one", "unknown"}}
	_ = open.SetDeadline(time.Now().Add(generous))
	if _, err := open.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection of the removed place: %v, want its end", err)
	}
	if _, err := talk(atOne, []byte("x")); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the removed place: %v, want refused", err)
	}
	if got, err := talk(atTwo, []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("the other place: %q, %v", got, err)
	}
	// The same reservation can be given again.
	d.changes <- Change{Add: []Entry{{ID: "one", Listener: duplicate(t, one), Target: target}}}
	if got, err := talkSoon(atOne, []byte("y")); err != nil || string(got) != "y" {
		t.Errorf("the place given again: %q, %v", got, err)
	}
	d.changes <- Change{Remove: []string{"one", "two"}}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}

func TestATargetThatIsGoneEndsTheConnectionOnly(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	kept, at := reserved(t)
	gone, _ := net.Listen("tcp4", "127.0.0.1:0")
	target := targetAt(gone.Addr().String())
	gone.Close()
	d.changes <- Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: target}}}
	for range 2 {
		if got, err := talk(at, nil); len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
	}
	d.changes <- Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: echo(t)}}}
	if got, err := talkSoon(at, []byte("z")); err != nil || string(got) != "z" {
		t.Errorf("after it came back: %q, %v", got, err)
	}
	d.changes <- Change{Remove: []string{"web"}}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}

func TestItGoesOnWithoutItsDaemon(t *testing.T) {
	d := newDaemon()
	_ = start(t, d)
	kept, at := reserved(t)
	own := duplicate(t, kept)
	d.changes <- Change{Add: []Entry{{ID: "web", Listener: own, Target: echo(t)}}}
	close(d.changes)
	if got, err := talkSoon(at, []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	// End it: nothing else can, by design.
	if err := unix.Shutdown(int(kept.Fd()), unix.SHUT_RDWR); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(generous):
		t.Error("it runs on without a place to accept at")
	}
}

func TestWhatCannotBeCopiedIsReported(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	local := os.NewFile(uintptr(pair[0]), "of no internet")
	kept, _ := reserved(t)
	reports := map[string]bool{}
	d := newDaemon()
	result := make(chan error, 1)
	go func() { result <- Run(d, func(id string, err error) { reports[id] = err != nil }) }()
	d.changes <- Change{Add: []Entry{
		{ID: "local", Listener: local, Target: targetAt("127.0.0.1:1")},
		{ID: "nowhere", Listener: duplicate(t, kept)},
	}}
	if err := <-result; err != nil {
		t.Errorf("the proxy left with %v", err)
	}
	if len(reports) != 2 || !reports["local"] || !reports["nowhere"] {
		t.Errorf("reports %v", reports)
	}
}

// make has a change made and waits until it is in force.
func (d *daemon) make(t *testing.T, c Change) {
	t.Helper()
	done := make(chan struct{})
	c.Done = func(failed map[string]error) {
		for id, err := range failed {
			t.Errorf("%s: %v", id, err)
		}
		close(done)
	}
	d.changes <- c
	<-done
}

// A place that holds accepts and connects nobody until it is drained. Then all
// that came get through, later ones are refused, the same socket can be listened
// on again, and the proxy leaves once the last connection has ended.
func TestAPlaceThatHoldsLetsAllThroughWhenItIsDrained(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	kept, at := reserved(t)
	var open []net.Conn
	for round := range 3 {
		d.make(t, Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: echo(t), Hold: 10 * generous}}})
		var group sync.WaitGroup
		for i := range 20 {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(generous))
				text := fmt.Sprintf("%d of %d", i, round)
				_, err := conn.Write([]byte(text))
				err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
				got, readErr := io.ReadAll(conn)
				if err = errors.Join(err, readErr); err != nil || string(got) != text {
					t.Errorf("%s: got %q, %v", text, got, err)
				}
			})
		}
		stays, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, stays)
		d.make(t, Change{Drain: []string{"web"}})
		if conn, err := net.Dial("tcp", at); err == nil {
			conn.Close()
			t.Error("a drained place accepts")
		}
		group.Wait()
	}
	for _, conn := range open { // also of earlier rounds
		_ = conn.SetDeadline(time.Now().Add(generous))
		_, err := conn.Write([]byte("x"))
		err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
		got, readErr := io.ReadAll(conn)
		if err = errors.Join(err, readErr); err != nil || string(got) != "x" {
			t.Errorf("got %q, %v", got, err)
		}
		conn.Close()
	}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}

// Without a drain the time of the hold ends the waiting; a removed place ends it
// at once.
func TestAHoldEndsByItself(t *testing.T) {
	d := newDaemon()
	wait := start(t, d)
	kept, at := reserved(t)
	d.make(t, Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: echo(t), Hold: 20 * time.Millisecond}}})
	if got, err := talk(at, []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	d.make(t, Change{Add: []Entry{{ID: "web", Listener: duplicate(t, kept), Target: echo(t), Hold: 10 * generous}}})
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	d.make(t, Change{Remove: []string{"web"}})
	_ = conn.SetDeadline(time.Now().Add(generous))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v", n, err)
	}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}
