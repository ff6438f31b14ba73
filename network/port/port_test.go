package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests use loopback and ports that the kernel chose; no root.

var loop = netip.MustParseAddr("127.0.0.1")

func reserveAny(t *testing.T, p Protocol) (*os.File, Binding) {
	t.Helper()
	f, err := Reserve(Binding{Protocol: p, Addr: loop})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	n, err := Number(f)
	if err != nil {
		t.Fatal(err)
	}
	return f, Binding{Protocol: p, Addr: loop, Port: n}
}

func TestAReservedPortIsTaken(t *testing.T) {
	for _, p := range []Protocol{TCP, UDP} {
		t.Run(string(p), func(t *testing.T) {
			f, b := reserveAny(t, p)
			var taken *TakenError
			if _, err := Reserve(b); !errors.As(err, &taken) {
				t.Errorf("a second reservation: %v", err)
			}
			every := b
			every.Addr = netip.IPv4Unspecified()
			if _, err := Reserve(every); !errors.As(err, &taken) {
				t.Errorf("a reservation of all addresses: %v", err)
			}
			f.Close()
			again, err := Reserve(b)
			if err != nil {
				t.Fatalf("after it was given back: %v", err)
			}
			again.Close()
		})
	}
}

func TestAReservationRefusesConnections(t *testing.T) {
	_, b := reserveAny(t, TCP)
	_, err := net.Dial("tcp4", netip.AddrPortFrom(b.Addr, b.Port).String())
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %v, want connection refused", err)
	}
}

func TestConnectionsInTimeWaitAreNotInTheWay(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	c, err := net.Dial("tcp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// Who closes first stays in TIME_WAIT; here that is the server.
	l.Close()
	s.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("data from a closed connection")
	}
	c.Close()
	b := Binding{Protocol: TCP, Addr: loop, Port: at.Port()}
	if fd, err := bound(b, unix.SOCK_STREAM, false); err == nil {
		unix.Close(fd)
		t.Skip("needs kernel feature: connections of the loopback that stay in TIME_WAIT")
	}
	f, err := Reserve(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Reserve(b); err == nil {
		t.Error("it was reserved twice")
	}
}

func TestTheOwnerIsNamed(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := net.ListenPacket("udp", "[::]:0")
	if err != nil {
		t.Skip("needs kernel feature: IPv6: ", err)
	}
	defer p.Close()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), os.Getpid())
	for _, b := range []Binding{
		{TCP, loop, netip.MustParseAddrPort(l.Addr().String()).Port()},
		{TCP, netip.IPv4Unspecified(), netip.MustParseAddrPort(l.Addr().String()).Port()},
		{UDP, loop, netip.MustParseAddrPort(p.LocalAddr().String()).Port()},
	} {
		var taken *TakenError
		if _, err := Reserve(b); !errors.As(err, &taken) || taken.Binding != b || !strings.Contains(err.Error(), b.String()) {
			t.Errorf("%s: got %v", b, err)
		}
		if owner, ok := Owner(b); !ok || owner.String() != me {
			t.Errorf("%s: the owner is %v, want %s", b, owner, me)
		}
	}
}

func TestARangeGivesItsFirstFreePort(t *testing.T) {
	_, first := reserveAny(t, TCP)
	b := Binding{Protocol: TCP, Addr: loop}
	f, n, err := ReserveIn(b, first.Port, min(first.Port, 65000)+500)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := Number(f); err != nil || got != n || n <= first.Port {
		t.Errorf("got %d, %v, said %d, behind %d", got, err, n, first.Port)
	}
	if _, _, err := ReserveIn(b, first.Port, first.Port); err == nil || !strings.Contains(err.Error(), "all are in use") {
		t.Errorf("a full range: %v", err)
	}
	if _, _, err := ReserveIn(b, 9, 8); err == nil {
		t.Error("9-8 is no range")
	}
}

func TestOtherProtocolsAndNoAddressAreRefused(t *testing.T) {
	for _, b := range []Binding{{Protocol: "sctp", Addr: loop, Port: 1}, {Protocol: TCP, Port: 1}} {
		if f, err := Reserve(b); err == nil {
			f.Close()
			t.Errorf("%v was reserved", b)
		}
	}
}

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   2: 0100007F:1F91 0100007F:C350 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 100 0 0 10 0
   3: broken
   4: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 13 1 0
   5: 0000000000000000FFFF00000100007F:01BC 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 14 1 0
`

func TestWhichSocketsClash(t *testing.T) {
	sockets := parseTable(strings.NewReader(table))
	if len(sockets) != 5 {
		t.Fatalf("read %d lines, want 5: %+v", len(sockets), sockets)
	}
	at := netip.MustParseAddrPort
	for _, c := range []struct{ want, inode string }{
		{"127.0.0.1:8080", "11"}, {"0.0.0.0:8080", "11"}, {"127.0.0.2:8080", ""}, {"[::1]:8080", ""},
		{"127.0.0.1:80", "12"}, {"0.0.0.0:80", "12"}, {"[::]:80", ""},
		{"127.0.0.1:8081", ""},
		{"127.0.0.1:443", "13"}, {"[::1]:443", "13"},
		{"127.0.0.1:444", "14"},
	} {
		b := Binding{TCP, at(c.want).Addr(), at(c.want).Port()}
		got := ""
		for _, s := range sockets {
			if s.clashes(b) {
				got += s.inode
			}
		}
		if got != c.inode {
			t.Errorf("%s: socket %q, want %q", b, got, c.inode)
		}
	}
}
