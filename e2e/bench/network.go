package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mycompose/mycompose/e2e/resident"
)

// served is a service that answers, published, and one to ask from.
const served = `services:
  web:
    image: busybox
    init: true
    command: ["load", "serve", ":80"]
    ports: ["8080:80"]
  client:
    image: busybox
    init: true
    command: ["sleep", "100000"]
`

// seconds is how long one load goes on.
func (b *bench) seconds() float64 {
	if b.quick {
		return 0.7
	}
	return 1.2
}

// stand brings a project up with every tool.
func (b *bench) stand(name, file string) (string, error) {
	dir, err := b.project(name, file)
	if err != nil {
		return "", err
	}
	for _, t := range b.both() {
		if _, err := t.run(dir, "up", "-d"); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// note reads the load program's line.
func note(line, tool string, answers, p99 *row) error {
	var perSecond, slow float64
	if _, err := fmt.Sscan(line, &perSecond, &slow); err != nil {
		return fmt.Errorf("load says %q: %w", line, err)
	}
	answers.putValue(tool, perSecond)
	p99.putValue(tool, slow)
	return nil
}

// names measures how fast a service's name is answered inside a container.
func (b *bench) names(rows map[string]*row) error {
	dir, err := b.stand("names", served)
	if err != nil {
		return err
	}
	for range b.rounds(3) {
		for _, clients := range []string{"1", "16"} {
			for _, t := range b.both() {
				line, err := t.output(dir, "exec", "-T", "client", "load", "dns", clients, fmt.Sprint(b.seconds()), "web")
				if err != nil {
					return err
				}
				if err := note(line, t.name, rows["dns-"+clients], rows["dns-"+clients+"-p99"]); err != nil {
					return err
				}
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	return b.downAll(dir)
}

// attach measures how long a running container takes to a further network.
func (b *bench) attach(rows map[string]*row) error {
	dir, err := b.stand("attach", served)
	if err != nil {
		return err
	}
	tools := []*tool{b.ours}
	if b.compose != nil {
		docker := *b.docker
		docker.name = "docker network"
		tools = append(tools, &docker)
	}
	for _, t := range tools {
		if _, err := t.run(dir, "network", "create", "further"); err != nil {
			return err
		}
	}
	for range b.rounds(9) {
		for _, t := range tools {
			err := errors.Join(timed(rows["attach"], t, dir, "network", "connect", "further", "attach-client-1"),
				timed(rows["detach"], t, dir, "network", "disconnect", "further", "attach-client-1"))
			if err != nil {
				return err
			}
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	for _, t := range tools {
		if _, err := t.run(dir, "network", "rm", "further"); err != nil {
			return err
		}
	}
	return b.downAll(dir)
}

// ports measures requests from another host through a published port, and
// from container to container. Kernel DNAT made by hand, with a veth on a
// bridge as a container has, stands beside the tools.
func (b *bench) ports(rows map[string]*row) error {
	dir, err := b.stand("ports", served)
	if err != nil {
		return err
	}
	ways := []way{{name: b.ours.name, world: b.ours.world}}
	if b.compose != nil {
		ways = append(ways, way{name: b.compose.name, world: b.compose.world})
	}
	plain, err := b.plainDNAT()
	if err != nil {
		return err
	}
	defer plain.end()
	ways = append(ways, way{name: "kernel DNAT", world: plain})
	for i := range ways {
		if ways[i].client, err = newWorld(); err != nil {
			return err
		}
		defer ways[i].client.end()
		if err := ways[i].world.link(ways[i].client, "out", 7); err != nil {
			return err
		}
	}
	for range b.rounds(3) {
		for _, w := range ways {
			if err := w.measure(b, rows); err != nil {
				return err
			}
		}
		if err := b.direct(dir, rows); err != nil {
			return err
		}
		if err := b.baseline(rows); err != nil {
			return err
		}
	}
	for _, w := range ways { // before the tools ask what is still there
		_ = w.world.do(func() error { return shell("ip link del out0") })
	}
	return b.downAll(dir)
}

// way is one way in: client → world → container.
type way struct {
	name          string
	world, client *world
}

func (w way) measure(b *bench, rows map[string]*row) error {
	t := tool{name: "load", program: b.load, world: w.client}
	for _, kind := range []struct{ key, flag string }{{"port", ""}, {"port-new", "-new"}} {
		if rows[kind.key] == nil && (kind.flag != "" || rows["port-p99"] == nil) {
			continue
		}
		args := append([]string{"http"}, strings.Fields(kind.flag)...)
		line, err := t.output(b.work, append(args, "16", fmt.Sprint(b.seconds()), "10.213.7.1:8080")...)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if err := note(line, w.name, rows[kind.key], rows[kind.key+"-p99"]); err != nil {
			return err
		}
	}
	return nil
}

// direct measures from one container to the other, by name.
func (b *bench) direct(dir string, rows map[string]*row) error {
	if rows["direct"] == nil && rows["direct-p99"] == nil {
		return nil
	}
	for _, t := range b.both() {
		line, err := t.output(dir, "exec", "-T", "client", "load", "http", "16", fmt.Sprint(b.seconds()), "web:80")
		if err != nil {
			return err
		}
		if err := note(line, t.name, rows["direct"], rows["direct-p99"]); err != nil {
			return err
		}
	}
	return nil
}

// bare is a server in a container of ours without a network: what it costs to
// be confined is the same on every way.
const bare = `services:
  bare:
    image: busybox
    init: true
    network_mode: none
    command: ["load", "serve", "0.0.0.0:80"]
`

// plainDNAT is a host with a bridge and the fewest rules that lead to a server
// behind it.
func (b *bench) plainDNAT() (*world, error) {
	dir, err := b.project("bare", bare)
	if err != nil {
		return nil, err
	}
	if _, err := b.ours.run(dir, "up", "-d"); err != nil {
		return nil, err
	}
	pids := resident.WithArguments("load", "serve", "0.0.0.0:80")
	if len(pids) != 1 {
		return nil, fmt.Errorf("there are %d servers for the port by hand", len(pids))
	}
	netns := fmt.Sprintf("/proc/%d/ns/net", pids[0])
	host, err := newWorld()
	if err != nil {
		return nil, err
	}
	err = host.do(func() error {
		inside := "nsenter --net=" + netns + " "
		return shell("ip link add br0 type bridge", "ip addr add 10.214.0.1/24 dev br0", "ip link set br0 up",
			"ip link add v0 type veth peer name eth0 netns "+netns, "ip link set v0 master br0 up",
			"sysctl -q -w net.ipv4.ip_forward=1",
			"nft add table ip n", "nft add chain ip n pre { type nat hook prerouting priority dstnat ; }",
			"nft add rule ip n pre tcp dport 8080 dnat to 10.214.0.2:80",
			inside+"ip addr add 10.214.0.2/24 dev eth0", inside+"ip link set eth0 up", inside+"ip route add default via 10.214.0.1")
	})
	if err != nil {
		host.end()
		return nil, fmt.Errorf("cannot make a port by hand: %w", err)
	}
	return host, nil
}
