// Command load is the bench's client and server, run inside containers and
// beside them. It speaks as little HTTP and DNS as it can, so that what is
// measured is the way between.
//
//	load serve ADDRESS                   answers each request with one short page
//	load http [-new] CLIENTS SECONDS ADDRESS
//	load dns CLIENTS SECONDS NAME        asks 127.0.0.11 for an A record
//
// The clients print answers per second and the 99th percentile in milliseconds.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1])
	}
	fresh := len(args) > 1 && args[1] == "-new"
	if fresh {
		args = slices.Delete(args, 1, 2)
	}
	if len(args) != 4 {
		return errors.New("usage: load serve ADDRESS | http [-new] CLIENTS SECONDS ADDRESS | dns CLIENTS SECONDS NAME")
	}
	clients, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	var open func() (asker, error)
	switch args[0] {
	case "http":
		open = func() (asker, error) { return newPage(args[3], fresh), nil }
	case "dns":
		open = func() (asker, error) { return newName(args[3]) }
	default:
		return fmt.Errorf("no such load: %s", args[0])
	}
	return measure(clients, time.Duration(seconds*float64(time.Second)), open)
}

// asker asks once and checks the answer.
type asker interface{ ask() error }

// measure lets clients ask for a time, each one question after the other, and
// prints what came of it.
func measure(clients int, during time.Duration, open func() (asker, error)) error {
	var wg sync.WaitGroup
	times, errs := make([][]time.Duration, clients), make([]error, clients)
	began := time.Now()
	for i := range clients {
		wg.Go(func() {
			a, err := open()
			for err == nil && time.Since(began) < during {
				start := time.Now()
				err = a.ask()
				times[i] = append(times[i], time.Since(start))
			}
			errs[i] = err
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	p99 := all[len(all)*99/100]
	fmt.Printf("%.0f %.3f\n", float64(len(all))/took.Seconds(), float64(p99.Nanoseconds())/1e6)
	return nil
}

// page asks for a page.
type page struct {
	address string
	fresh   bool
	conn    net.Conn
	buffer  [4096]byte
}

const (
	request = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n"
)

func newPage(address string, fresh bool) *page { return &page{address: address, fresh: fresh} }

func (p *page) ask() (err error) {
	if p.conn == nil {
		if p.conn, err = net.DialTimeout("tcp", p.address, 10*time.Second); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(p.conn, request); err != nil {
		return err
	}
	if _, err := io.ReadFull(p.conn, p.buffer[:len(answer)]); err != nil {
		return err
	}
	if p.fresh {
		// A reset in place of TIME_WAIT, of which a host has not enough.
		_ = p.conn.(*net.TCPConn).SetLinger(0)
		err = p.conn.Close()
		p.conn = nil
	}
	return err
}

// serve answers on an address until it is killed.
func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() { // ends with its connection
			defer conn.Close()
			var buffer [4096]byte
			for {
				if _, err := io.ReadFull(conn, buffer[:len(request)]); err != nil {
					return
				}
				if _, err := io.WriteString(conn, answer); err != nil {
					return
				}
			}
		}()
	}
}

// name asks for an A record (RFC 1035, section 4).
type name struct {
	conn  net.Conn
	query []byte
	reply [1500]byte
}

func newName(what string) (*name, error) {
	conn, err := net.Dial("udp", "127.0.0.11:53")
	if err != nil {
		return nil, err
	}
	query := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0} // recursion desired, one question
	for label := range strings.SplitSeq(what, ".") {
		query = append(append(query, byte(len(label))), label...)
	}
	return &name{conn: conn, query: append(query, 0, 0, 1, 0, 1)}, nil
}

func (n *name) ask() error {
	id := binary.BigEndian.Uint16(n.query) + 1
	binary.BigEndian.PutUint16(n.query, id)
	if _, err := n.conn.Write(n.query); err != nil {
		return err
	}
	if err := n.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	got, err := n.conn.Read(n.reply[:])
	if err != nil {
		return err
	}
	if got < 12 || binary.BigEndian.Uint16(n.reply[:]) != id || n.reply[3]&15 != 0 || n.reply[7] == 0 {
		return fmt.Errorf("the answer is wrong: % x", n.reply[:got])
	}
	return nil
}
