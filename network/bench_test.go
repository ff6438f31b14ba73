package network_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/mycompose/mycompose/network"
)

// BenchmarkAttach is the network's share of a container's start: namespace,
// veth pair, address, route.
func BenchmarkAttach(b *testing.B) {
	w := newWorld(b)
	front := w.network(1, false)
	for range b.N {
		ns, err := network.NewNamespace()
		w.must(err)
		w.attach(ns, 2, false, front)
		// Closed at the end: the kernel's clean-up would compete.
		defer ns.Close()
	}
}

// BenchmarkAttach50 is fifty of them on one bridge, with their resolvers.
func BenchmarkAttach50(b *testing.B) {
	w := newWorld(b)
	front := w.network(1, false)
	for range b.N {
		var open []*os.File
		for i := range 50 {
			ns, err := network.NewNamespace()
			w.must(err)
			w.attach(ns, 2+i, false, front)
			s, err := network.ListenDNS(ns, network.Led)
			w.must(err)
			open = append(open, ns, s.UDP, s.TCP)
		}
		b.StopTimer()
		for _, f := range open {
			f.Close()
		}
		b.StartTimer()
	}
}

func BenchmarkNewNamespace(b *testing.B) {
	newWorld(b)
	for range b.N {
		ns, err := network.NewNamespace()
		if err != nil {
			b.Fatal(err)
		}
		ns.Close()
	}
}

func BenchmarkListenDNS(b *testing.B) {
	w := newWorld(b)
	for range b.N {
		b.StopTimer()
		ns, err := network.NewNamespace()
		w.must(err)
		defer ns.Close()
		b.StartTimer()
		s, err := network.ListenDNS(ns, network.Led)
		w.must(err)
		s.Close()
	}
}

// BenchmarkFirstPacket is the time from the namespace until the first
// connection through a fresh link stands.
func BenchmarkFirstPacket(b *testing.B) {
	w := newWorld(b)
	front := w.network(1, false)
	var l net.Listener
	w.host.Do(b, func() (err error) {
		l, err = net.Listen("tcp4", "10.128.1.1:80")
		return err
	})
	defer l.Close()
	for i := range b.N {
		ns, err := network.NewNamespace()
		w.must(err)
		w.attach(ns, 2+i%200, false, front)
		err = network.Do(ns, func() error {
			c, err := net.Dial("tcp4", l.Addr().String())
			if err == nil {
				c.Close()
			}
			return err
		})
		w.must(err)
		b.StopTimer()
		c, err := l.Accept()
		w.must(err)
		c.Close()
		ns.Close()
		b.StartTimer()
	}
}

// BenchmarkPublish is one port in and out again, with a hundred others there.
func BenchmarkPublish(b *testing.B) {
	w := newWorld(b)
	w.network(1, false)
	for i := range 50 {
		w.publish(both("", uint16(1000+i), fmt.Sprintf("10.128.1.%d:80", 2+i))...)
	}
	s := w.state
	s.Networks, s.Ports = nil, both("", 8080, "10.128.1.99:80")
	for range b.N {
		w.must(w.table.Change(s, noState()))
		w.must(w.table.Change(noState(), s))
	}
}

// BenchmarkForwardAgain is what each network but the first pays for the host's
// forwarding, on a host that did not forward before.
func BenchmarkForwardAgain(b *testing.B) {
	w := newWorld(b)
	w.locked(func(l *network.HostLock) error { return l.Release(w.net, tag) })
	w.forwarding("0")
	w.locked(func(l *network.HostLock) error { return l.Forward(w.net, tag) })
	for b.Loop() {
		w.locked(func(l *network.HostLock) error { return l.Forward(w.net, tag) })
	}
}
