package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/dns"
	"github.com/mycompose/mycompose/network/ipam"
)

// buildNetwork is the name of the network that build steps are on; no other
// network can be called so.
const buildNetwork = "+build"

// sandbox is the network namespace of one build step.
type sandbox struct {
	bridge   *bridge // nil: none
	ns       *os.File
	sockets  dns.Sockets
	internal bool
	resolver func() // ends the answering of its questions and waits
}

// builderHost answers what the builder asks us.
type builderHost struct{ e *Engine }

// Resolve says which record a name points at.
func (h builderHost) Resolve(_ context.Context, reference string) (string, error) {
	name, err := h.e.images.Name(reference)
	if errors.Is(err, image.ErrNotFound) {
		return "", nil
	}
	return name.Digest, err
}

// Keep stores an image that a build has pulled.
func (h builderHost) Keep(ctx context.Context, r image.Result) error {
	return h.e.images.Put(ctx, r.Record, r.Names...)
}

// OpenSandbox makes a network namespace for a RUN.
func (h builderHost) OpenSandbox(_ context.Context, r image.SandboxRequest) (image.Sandbox, *os.File, error) {
	s := &sandbox{}
	err := h.e.fillSandbox(s, r)
	if err != nil {
		return image.Sandbox{}, nil, errors.Join(fmt.Errorf("cannot make a sandbox: %w", err), h.e.endSandbox(s, r.ID))
	}
	ns, err := wire.Duplicate(s.ns)
	if err != nil {
		return image.Sandbox{}, nil, errors.Join(err, h.e.endSandbox(s, r.ID))
	}
	b := &h.e.builder
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sandboxes == nil {
		b.sandboxes = map[string]*sandbox{}
	}
	b.sandboxes[r.ID] = s
	resolv, err := h.e.resolvConf(spec.Blueprint{NetworkMode: modeBridge, Networks: []spec.Attachment{{}}})
	return image.Sandbox{ID: r.ID, ResolvConf: string(resolv)}, ns, err
}

// CloseSandbox takes it down; an unknown one is success.
func (h builderHost) CloseSandbox(_ context.Context, id string) error {
	b := &h.e.builder
	b.mu.Lock()
	s := b.sandboxes[id]
	delete(b.sandboxes, id)
	b.mu.Unlock()
	if s == nil {
		return nil
	}
	return h.e.endSandbox(s, id)
}

// fillSandbox makes what a sandbox consists of; endSandbox is its inverse,
// also after an error.
func (e *Engine) fillSandbox(s *sandbox, r image.SandboxRequest) (err error) {
	if s.ns, err = network.NewNamespace(); err != nil || r.Network == modeNone {
		return err
	}
	if r.Network == "" || r.Network == "default" {
		s.bridge, err = e.buildBridge()
	} else if s.bridge = e.bridge(r.Network); s.bridge == nil {
		err = spec.Errorf(spec.ErrNotFound, "no network %s", r.Network)
	}
	if err != nil {
		return err
	}
	s.internal = s.bridge.rec.Network.Internal
	addr, err := s.bridge.borrow(r.ID)
	if err != nil {
		return err
	}
	at := place{Addr: addr}
	if addr.Is6() {
		at = place{Addr6: addr}
	}
	endpoint, err := s.bridge.endpoint(e.linkPrefix(), spec.Attachment{}, at, ipam.MAC(addr))
	if err != nil {
		return err
	}
	if !s.internal {
		endpoint.Gateways = []netip.Addr{s.bridge.route(addr)}
	}
	if _, err := e.host.Attach(s.ns, []network.Endpoint{endpoint}); err != nil {
		return err
	}
	if s.sockets, err = network.ListenDNS(s.ns, network.Led); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	e.goDo(func() {
		defer close(done)
		if err := e.resolver.Serve(ctx, r.ID, s.sockets); err != nil {
			e.log.Error("names are not answered for a build step", "err", err)
		}
	})
	s.resolver = func() {
		cancel()
		<-done
	}
	return nil
}

func (e *Engine) endSandbox(s *sandbox, id string) error {
	if s.resolver != nil {
		s.resolver()
	}
	s.sockets.Close()
	container.CloseFiles([]*os.File{s.ns})
	if s.bridge != nil {
		s.bridge.giveBack(id)
	}
	return nil
}

// borrow leases an address that nothing on disk knows of.
func (b *bridge) borrow(key string) (netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	configs, six := ipam.Split(b.rec.Configs)
	held, last := b.leases.Held, &b.leases.Last
	if len(configs) == 0 {
		configs, held, last = six, b.leases.Held6, &b.leases.Last6
	}
	addr, err := ipam.NextOf(configs, ipam.Request{Key: key, Held: held, Last: *last})
	if err == nil {
		held[key], *last = addr, addr
	}
	return addr, err
}

func (b *bridge) giveBack(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leases.Held, key)
	delete(b.leases.Held6, key)
}

// buildBridge is the build network, which stands from the first step until the
// builder ends.
func (e *Engine) buildBridge() (*bridge, error) {
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	e.builder.mu.Lock()
	b := e.builder.network
	e.builder.mu.Unlock()
	if b != nil {
		return b, nil
	}
	b, err := e.makeNetwork(spec.Network{Name: buildNetwork})
	if err != nil {
		return nil, fmt.Errorf("cannot make the build network: %w", err)
	}
	e.builder.mu.Lock()
	defer e.builder.mu.Unlock()
	e.builder.network = b
	return b, nil
}

// buildGateway is the host's address as the steps of a build on that network
// see it.
func (e *Engine) buildGateway(name string) (string, error) {
	switch name {
	case modeHost, modeNone:
		return "127.0.0.1", nil
	}
	var b *bridge
	var err error
	if name == "" || name == "default" {
		b, err = e.buildBridge()
	} else if b = e.bridge(name); b == nil {
		err = spec.Errorf(spec.ErrNotFound, "no network %s", name)
	}
	if err != nil {
		return "", err
	}
	four, six := ipam.Split(b.rec.Configs)
	return append(four, six...)[0].Gateway.String(), nil
}

func (e *Engine) removeBuildNetwork() error {
	e.networkTurn.Lock()
	defer e.networkTurn.Unlock()
	e.builder.mu.Lock()
	b := e.builder.network
	e.builder.network = nil
	e.builder.mu.Unlock()
	if b == nil {
		return nil
	}
	return e.unmakeNetwork(b)
}

// sandboxReachesOut reports whether id is a build step's, and whether its
// network leads anywhere.
func (b *builder) sandboxReachesOut(id string) (is, out bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sandboxes[id]
	return s != nil, s != nil && !s.internal
}
