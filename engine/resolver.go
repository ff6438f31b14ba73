package engine

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/dns"
)

// Names of the resolver's sockets in the keeper.
const (
	socketDNSUDP   = "dns-udp"
	socketDNSTCP   = "dns-tcp"
	socketDNSRules = "dns-rules"
)

// answerPause is the wait between tries to answer a container's names, after the
// machine has refused something, such as one more descriptor.
const answerPause = time.Second

// answerNames opens the container's resolver sockets, unless they are held
// already, and serves them. turn is held.
func (e *Engine) answerNames(ctx context.Context, l *life) error {
	if !bridged(l.rec.Blueprint) || l.held.netns == nil || l.held.resolver != nil {
		return nil
	}
	sockets := l.resolverSockets()
	if sockets.UDP == nil || sockets.TCP == nil {
		var err error
		if sockets, err = network.ListenDNS(l.held.netns, leading(l.rec.Blueprint)); err != nil {
			return fmt.Errorf("cannot answer names for %s: %w", l.name(), err)
		}
		if err := e.holdResolver(ctx, l, sockets); err != nil {
			return err
		}
	}
	serving, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	e.goDo(func() {
		defer close(done)
		for {
			err := e.resolver.Serve(serving, l.id, sockets)
			if err == nil || serving.Err() != nil {
				return
			}
			e.log.Error("names are not answered for a moment", "container", l.name(), "err", err)
			select {
			case <-time.After(answerPause):
			case <-serving.Done():
				return
			}
		}
	})
	l.held.resolver = func() {
		cancel()
		<-done
	}
	return nil
}

// holdResolver has the sockets of a container's resolver kept. turn is held.
func (e *Engine) holdResolver(ctx context.Context, l *life, s dns.Sockets) error {
	files := map[string]*os.File{socketDNSUDP: s.UDP, socketDNSTCP: s.TCP}
	if s.Rules != nil {
		files[socketDNSRules] = s.Rules
	}
	return e.hold(ctx, l, files)
}

// unwatch keeps packets for the resolver, which only who serves it waits for,
// from waking us otherwise. turn is held.
func (e *Engine) unwatch(l *life) {
	for _, name := range []string{socketDNSUDP, socketDNSTCP} {
		if l.held.sockets[name] == nil {
			continue
		}
		f, err := dns.Unwatch(l.held.sockets[name])
		if err != nil {
			e.log.Warn("packets for a resolver wake the daemon twice", "container", l.name(), "err", err)
			continue
		}
		l.held.sockets[name] = f
	}
}

// leading is how the container's questions are led to its resolver: for good,
// where it may change rules of its namespace.
func leading(b spec.Blueprint) network.Leading {
	if container.Policy(b).Holds("NET_ADMIN") {
		return network.Held
	}
	return network.Led
}

// holdRules has the rules of a container's resolver stand against one that shares
// its network and may change rules there.
func (e *Engine) holdRules(ctx context.Context, owner *life) error {
	if word, ok := strings.CutPrefix(owner.rec.Blueprint.NetworkMode, modeContainer); ok {
		next, err := e.Find(word)
		if err != nil {
			return err
		}
		l, err := e.life(next.Blueprint.ID)
		if err != nil {
			return err
		}
		return e.holdRules(ctx, l)
	}
	owner.turn.Lock()
	defer owner.turn.Unlock()
	sockets := owner.resolverSockets()
	if owner.held.netns == nil || sockets.UDP == nil || sockets.TCP == nil || sockets.Rules != nil {
		return nil
	}
	rules, err := network.HoldDNS(owner.held.netns, sockets)
	if err != nil {
		return fmt.Errorf("cannot hold the resolver of %s: %w", owner.name(), err)
	}
	if rules == nil {
		return nil
	}
	return e.hold(ctx, owner, map[string]*os.File{socketDNSRules: rules})
}

// resolverSockets are those that are held. turn is held.
func (l *life) resolverSockets() dns.Sockets {
	of := l.held.sockets
	return dns.Sockets{UDP: of[socketDNSUDP], TCP: of[socketDNSTCP], Rules: of[socketDNSRules]}
}
