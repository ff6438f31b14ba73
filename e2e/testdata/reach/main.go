// Command reach is both ends of a test of networks: "reach serve PORT WORD"
// answers each TCP connection and each UDP datagram with WORD, and "reach ask
// tcp|udp HOST:PORT MILLISECONDS" prints what answers within that time.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve":
		return serve(":"+args[1], args[2])
	case len(args) == 4 && args[0] == "ask":
		ms, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		answer, err := ask(args[1], args[2], time.Duration(ms)*time.Millisecond)
		fmt.Println(answer)
		return err
	}
	return fmt.Errorf("unknown command %q", args)
}

func serve(at, word string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	if err := serve4(at, word); err != nil {
		return err
	}
	if err := serve6(at, word); err != nil && !errors.Is(err, syscall.EAFNOSUPPORT) {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = io.WriteString(c, word)
		c.Close()
	}
}

// serve4 answers datagrams from the very address that they came to, as a server
// on a host with several addresses has to.
func serve4(at, word string) error {
	conn, err := net.ListenPacket("udp4", at)
	if err != nil {
		return err
	}
	p := ipv4.NewPacketConn(conn)
	if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return err
	}
	go func() {
		for b := make([]byte, 1500); ; {
			if _, m, from, err := p.ReadFrom(b); err == nil && m != nil {
				_, _ = p.WriteTo([]byte(word), &ipv4.ControlMessage{Src: m.Dst}, from)
			}
		}
	}()
	return nil
}

// serve6 is serve4 for IPv6.
func serve6(at, word string) error {
	conn, err := net.ListenPacket("udp6", at)
	if err != nil {
		return err
	}
	p := ipv6.NewPacketConn(conn)
	if err := p.SetControlMessage(ipv6.FlagDst, true); err != nil {
		return err
	}
	go func() {
		for b := make([]byte, 1500); ; {
			if _, m, from, err := p.ReadFrom(b); err == nil && m != nil {
				_, _ = p.WriteTo([]byte(word), &ipv6.ControlMessage{Src: m.Dst}, from)
			}
		}
	}()
	return nil
}

func ask(network, at string, wait time.Duration) (string, error) {
	c, err := net.DialTimeout(network, at, wait)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(wait))
	if network == "udp" {
		if _, err := io.WriteString(c, "?"); err != nil {
			return "", err
		}
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	return string(b[:n]), err
}
