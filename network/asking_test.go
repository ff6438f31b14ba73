package network_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// serve answers every TCP connection and UDP datagram at a port of ns with
// name and the address that it sees the asker at.
func (w *world) serve(ns *kerneltest.NetNS, name string, port int) {
	w.t.Helper()
	var l net.Listener
	var p net.PacketConn
	ns.Do(w.t, func() (err error) {
		if l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port)); err == nil {
			p, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
		}
		return err
	})
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s %s\n", name, c.RemoteAddr())
			c.Close()
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 100)
		for {
			_, from, err := p.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = p.WriteTo([]byte(fmt.Sprintf("%s %s\n", name, from)), from)
		}
	}()
	w.t.Cleanup(func() { l.Close(); p.Close(); <-done; <-done })
}

// ask connects from ns and returns who answered, and as whom it saw us.
func ask(ns *kerneltest.NetNS, proto, addr string, wait time.Duration) (name, seen string, err error) {
	err = ns.Try(func() error {
		c, err := net.DialTimeout(proto, addr, wait)
		if err != nil {
			return err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(wait))
		if strings.HasPrefix(proto, "udp") {
			if _, err := c.Write([]byte("?")); err != nil {
				return err
			}
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return err
		}
		_, err = fmt.Sscan(line, &name, &seen)
		return err
	})
	host, _, _ := net.SplitHostPort(seen)
	return name, host, err
}

// reaches fails unless want answers over TCP and UDP.
func (w *world) reaches(from *kerneltest.NetNS, addr, want string) (seen string) {
	w.t.Helper()
	for _, proto := range []string{"tcp4", "udp4"} {
		name, as, err := ask(from, proto, addr, generous)
		if err != nil || name != want {
			w.t.Errorf("%s %s: got answer of %q, %v; want %s", proto, addr, name, err, want)
		}
		seen = as
	}
	return seen
}

// cannotReach fails if anything answers over TCP or UDP.
func (w *world) cannotReach(from *kerneltest.NetNS, addr string) {
	w.t.Helper()
	for _, proto := range []string{"tcp4", "udp4"} {
		if name, _, err := ask(from, proto, addr, silence); err == nil {
			w.t.Errorf("%s %s: %q answered; nothing may", proto, addr, name)
		}
	}
}

// unanswered says something whose answer may not come.
func (w *world) unanswered(ask func(wait time.Duration) string) {
	w.t.Helper()
	if got := ask(silence); got == "web" || got == "outside" {
		w.t.Errorf("%q answers although the table is gone", got)
	}
}

// udpClient keeps one port and asks again with each call.
func (w *world) udpClient(ns *kerneltest.NetNS, addr string) func() string {
	w.t.Helper()
	ask := w.patientClient(ns, addr)
	return func() string { return ask(generous) }
}

// patientClient is udpClient with the time to wait for an answer.
func (w *world) patientClient(ns *kerneltest.NetNS, addr string) func(wait time.Duration) string {
	w.t.Helper()
	var c net.Conn
	ns.Do(w.t, func() (err error) {
		c, err = net.Dial("udp4", addr)
		return err
	})
	w.t.Cleanup(func() { c.Close() })
	return func(wait time.Duration) string {
		_ = c.SetDeadline(time.Now().Add(wait))
		if _, err := c.Write([]byte("?")); err != nil {
			return err.Error()
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if err != nil {
			return err.Error()
		}
		name, _, _ := strings.Cut(string(buf[:n]), " ")
		return name
	}
}
