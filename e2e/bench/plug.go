package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/network"
)

// plugPrefix begins the names of the links of these rows.
const plugPrefix = "mcbench"

// plugged is how many containers the rows of many have, as in the floor program.
const plugged = 100

// plug measures what the engine does for the network of a container at its
// start, with the engine's own package in a host of its own: namespace, link on
// a bridge, address, default route, and the resolver's sockets with their rules.
// A network is left as the engine leaves it: with its namespace. The floor has
// no resolver.
func (b *bench) plug(rows map[string]*row) error {
	w, err := newWorld()
	if err != nil {
		return err
	}
	defer w.end()
	ns, err := os.Open(w.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	host, err := network.OpenIn(ns)
	if err != nil {
		return err
	}
	defer host.Close()
	bridge := network.Bridge{Name: plugPrefix + "0", Addresses: []netip.Prefix{netip.MustParsePrefix("10.212.0.1/16")}}
	if err := host.EnsureBridge(bridge); err != nil {
		return err
	}
	for _, probe := range []struct{ row, name string }{{"plug", "net"}, {"plug-100", "attach"}, {"gone-100", "gone"}} {
		if err := b.floorOf(rows[probe.row], probe.name, 15); err != nil {
			return err
		}
	}
	p := plugger{b: b, world: w, host: host, bridge: bridge.Name}
	if err := p.one(b.rounds(40), rows["plug"]); err != nil {
		return err
	}
	for range b.rounds(9) {
		places, err := p.plug(plugged, rows["plug-100"])
		if err = errors.Join(err, p.leave(places, rows["gone-100"]), b.baseline(rows)); err != nil {
			return err
		}
	}
	return nil
}

// plugger makes networks of containers on one bridge.
type plugger struct {
	b      *bench
	world  *world
	host   *network.Host
	bridge string
}

// one makes networks one after the other. They end together: the kernel's
// clean-up of one would be in the way of the next.
func (p plugger) one(rounds int, made *row) error {
	var all []network.Place
	var err error
	for range rounds {
		places, e := p.plug(1, made)
		all, err = append(all, places...), errors.Join(err, e)
	}
	return errors.Join(err, p.leave(all, nil))
}

// plug makes n networks, on all processors.
func (p plugger) plug(n int, made *row) ([]network.Place, error) {
	places, errs := make([]network.Place, n), make([]error, n)
	numbers := make(chan int, n)
	for i := range n {
		numbers <- i
	}
	close(numbers)
	began := time.Now()
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for i := range numbers {
				places[i], errs[i] = p.host.Plug([]network.Endpoint{p.endpoint(i)}, network.Led, nil)
			}
		})
	}
	group.Wait()
	made.put(p.b.ours, time.Since(began))
	return places, errors.Join(errs...)
}

// leave ends networks and waits until their links are gone.
func (p plugger) leave(places []network.Place, gone *row) error {
	var links []string
	for _, place := range places {
		for _, l := range place.Links {
			links = append(links, l.Host)
		}
	}
	began := time.Now()
	for _, place := range places {
		place.Close()
	}
	err := p.world.do(func() error { return awaitGone(links) })
	gone.put(p.b.ours, time.Since(began))
	return err
}

func (p plugger) endpoint(i int) network.Endpoint {
	return network.Endpoint{
		Bridge: p.bridge, Prefix: plugPrefix, Gateways: []netip.Addr{netip.MustParseAddr("10.212.0.1")},
		Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 212, 1, byte(i)}), 16)},
	}
}

// goneDeadline is far beyond what the kernel takes on a busy machine.
const goneDeadline = 30 * time.Second

// awaitGone waits until the calling thread's namespace has none of the links.
func awaitGone(links []string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	end := time.Now().Add(goneDeadline)
	for _, name := range links {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		for unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) == nil {
			if time.Now().After(end) {
				return fmt.Errorf("link %s is still there after %s", name, goneDeadline)
			}
			time.Sleep(time.Millisecond / 2)
		}
	}
	return nil
}
