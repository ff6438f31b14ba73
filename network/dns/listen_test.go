package dns

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// watchers is how often this process waits for what comes to a socket
// (proc_pid_fdinfo(5), tfd of epoll).
func watchers(t *testing.T, f *os.File) int {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("ino:%x ", info.Sys().(*syscall.Stat_t).Ino)
	entries, err := os.ReadDir("/proc/self/fdinfo")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, e := range entries {
		text, err := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		if err == nil { // else it has been closed
			count += strings.Count(string(text), want)
		}
	}
	return count
}

// A packet wakes who answers it, and nobody else.
func TestAServedSocketIsWatchedOnce(t *testing.T) {
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	for _, when := range []string{"at first", "by the next daemon"} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- NewServer(shop(), slog.New(slog.DiscardHandler)).Serve(ctx, "web1", s) }()
		exchangeWith(t, "udp", at(s.UDPPort), "web.", dns.TypeA) // so that it serves
		exchangeWith(t, "tcp", at(s.TCPPort), "web.", dns.TypeA)
		if udp, tcp := watchers(t, s.UDP), watchers(t, s.TCP); udp != 1 || tcp != 1 {
			t.Errorf("%s: %d watch the UDP socket, %d the TCP one", when, udp, tcp)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.UDP, s.TCP = handed(t, s.UDP), handed(t, s.TCP)
	}
}

// handed is a socket as a daemon gets it from its keeper.
func handed(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	f.Close()
	out, err := Unwatch(os.NewFile(uintptr(fd), "passed"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
