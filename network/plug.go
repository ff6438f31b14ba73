package network

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/network/dns"
)

// Place is a fresh network namespace with all that a container needs in it.
type Place struct {
	NS *os.File
	// Links are those of the endpoints, in order.
	Links []Plugged
	// Resolver is zero unless it was asked for.
	Resolver dns.Sockets
}

// Close closes what it holds; the namespace ends with its last descriptor.
func (p Place) Close() {
	p.Resolver.Close()
	if p.NS != nil {
		p.NS.Close()
	}
}

// Plug is NewNamespace, Attach and, if a resolver is asked for, ListenDNS, in one
// visit of one thread. made, unless it is nil, is called when the namespace is there
// and nothing in it; who wants to keep the file duplicates it. If Plug fails,
// nothing of it is left.
func (h *Host) Plug(endpoints []Endpoint, resolver Leading, made func(ns *os.File)) (Place, error) {
	endpoints, err := complete(endpoints, nil)
	if err != nil {
		return Place{}, err
	}
	var p Place
	var names []string
	err = onThread(func() (err error) {
		if p.NS, err = unshareNamespace(); err != nil {
			return fmt.Errorf("cannot make a network namespace: %w", err)
		}
		if made != nil {
			made(p.NS)
		}
		if names, err = h.plug(p.NS, endpoints); err != nil {
			return err
		}
		if err := configure(endpoints); err != nil {
			return err
		}
		if err := h.settle(names); err != nil {
			return err
		}
		p.Resolver, err = listenDNS(resolver)
		return err
	})
	if err != nil {
		if names != nil {
			err = errors.Join(err, h.unplug(p.NS, endpoints, names))
		}
		p.Close()
		return Place{}, err
	}
	for i, name := range names {
		p.Links = append(p.Links, Plugged{name, endpoints[i].Name})
	}
	return p, nil
}

// unshareNamespace gives the calling thread a namespace of its own, with its
// settings.
func unshareNamespace() (*os.File, error) {
	if err := fault.Errno("netns:make"); err != nil {
		return nil, err
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	ns, err := openThreadNS()
	if err != nil {
		return nil, err
	}
	if err := furnish(); err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}
