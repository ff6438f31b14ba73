package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reservedUDP is a bound socket on all addresses of a family.
func reservedUDP(t *testing.T, family int) (*os.File, uint16) {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skip("needs kernel feature: IPv6: ", err)
	}
	f := os.NewFile(uintptr(fd), "reserved")
	t.Cleanup(func() { f.Close() })
	var all unix.Sockaddr = &unix.SockaddrInet6{}
	if family == unix.AF_INET {
		all = &unix.SockaddrInet4{}
	}
	if err := unix.Bind(fd, all); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if four, ok := sa.(*unix.SockaddrInet4); ok {
		return f, uint16(four.Port)
	}
	return f, uint16(sa.(*unix.SockaddrInet6).Port)
}

// echoUDP is a container that sends back what it gets.
func echoUDP(t *testing.T) Target {
	t.Helper()
	p, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, maxDatagram); ; {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = p.WriteTo(b[:n], from)
		}
	}()
	t.Cleanup(func() { p.Close(); <-done })
	at := netip.MustParseAddrPort(p.LocalAddr().String())
	return Target{Addr: at.Addr().As4(), Port: at.Port()}
}

// exchange sends until an answer comes: what is on its way while the proxy
// takes the change may be lost.
func exchange(c net.Conn, text string) error {
	b := make([]byte, 100)
	for end := time.Now().Add(generous); time.Now().Before(end); {
		if _, err := c.Write([]byte(text)); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(b); err == nil {
			if string(b[:n]) != text {
				return fmt.Errorf("got %q, want %q", b[:n], text)
			}
			return nil
		}
	}
	return fmt.Errorf("no answer to %q", text)
}

func TestDatagramsFindTheirWayBack(t *testing.T) {
	t.Run("IPv6", func(t *testing.T) { datagramsFindTheirWayBack(t, unix.AF_INET6, "::1") })
	// As for a container that has IPv6 alone; the answer comes from the address asked.
	t.Run("IPv4", func(t *testing.T) { datagramsFindTheirWayBack(t, unix.AF_INET, "127.0.0.77") })
}

func datagramsFindTheirWayBack(t *testing.T, family int, host string) {
	t.Helper()
	d := newDaemon()
	wait := start(t, d)
	kept, port := reservedUDP(t, family)
	target := echoUDP(t)
	for range 2 { // the same reservation can be given again
		d.changes <- Change{Add: []Entry{{ID: "dns", Listener: duplicate(t, kept), Target: target}}}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				c, err := net.Dial("udp", net.JoinHostPort(host, fmt.Sprint(port)))
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if err := exchange(c, fmt.Sprintf("client %d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	d.changes <- Change{Remove: []string{"dns"}}
	if err := wait(); err != nil {
		t.Errorf("the proxy left with %v", err)
	}
}
