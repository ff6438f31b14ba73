package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// proxyPause is the wait before a proxy that could not be started is tried
// again.
const proxyPause = time.Second

// proxied is one place that the proxy shall accept at: a reserved socket of
// ours, and where its connections lead.
type proxied struct {
	wire.ProxyEntry
	socket *os.File
}

// proxyLink makes the proxy's table be what is wanted. The process is started
// when something is wanted and none is there, and leaves when nothing is.
//
//	set ─▶ wanted ─▶ sync: connect or start ─▶ list ─▶ change ─▶ have = wanted
//	                  ▲
//	                  └─ its connection ended, and something is wanted
type proxyLink struct {
	place         folder.Place
	binary, small *os.File
	log           *slog.Logger
	living        context.Context // ends with the engine
	goDo          func(func())

	mu     sync.Mutex // held over each change
	ready  bool       // begin has been called
	wanted map[string]proxied
	have   map[string]wire.ProxyEntry
	// drained are entries out of the table of which connections may be left.
	drained map[string]bool
	peer    *wire.Peer      // nil: not connected
	exited  <-chan struct{} // its process has; nil if it is not our child
}

// set takes entries into the table, and others out of it by their ids. The
// sockets stay the caller's.
func (p *proxyLink) set(ctx context.Context, add []proxied, remove []string) error {
	if len(add)+len(remove) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endDrained(ctx, remove)
	for _, id := range remove {
		container.CloseFiles([]*os.File{p.wanted[id].socket})
		delete(p.wanted, id)
	}
	for _, entry := range add {
		own, err := wire.Duplicate(entry.socket)
		if err != nil {
			return fmt.Errorf("cannot give a port to the proxy: %w", err)
		}
		container.CloseFiles([]*os.File{p.wanted[entry.ID].socket})
		entry.socket = own
		p.wanted[entry.ID] = entry
	}
	return p.syncIfReady(ctx)
}

// syncIfReady waits for begin: not before all is known that was there. mu is
// held.
func (p *proxyLink) syncIfReady(ctx context.Context) error {
	if !p.ready || p.living.Err() != nil {
		return nil
	}
	return p.sync(ctx)
}

// drain takes entries out of the table and lets what they have accepted end by
// itself; set with these ids removed ends that.
func (p *proxyLink) drain(ctx context.Context, ids []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		container.CloseFiles([]*os.File{p.wanted[id].socket})
		delete(p.wanted, id)
	}
	if p.peer == nil { // it died, and with it all that it had accepted, or did not answer
		return p.syncIfReady(ctx)
	}
	err := p.sendSoon(ctx, wire.ProxyChangeRequest{Drain: ids})
	switch {
	case proxyGone(err):
		return nil
	case err != nil:
		return p.syncIfReady(ctx)
	}
	if p.drained == nil {
		p.drained = map[string]bool{}
	}
	for _, id := range ids {
		p.drained[id] = true
	}
	return nil
}

// move gives entries of the table another id, target and hold; their sockets
// listen on.
func (p *proxyLink) move(ctx context.Context, moves []wire.ProxyMove) error {
	if len(moves) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range moves {
		entry, there := p.wanted[m.From]
		if !there {
			return fmt.Errorf("cannot move %s in the proxy: it is not there", m.From)
		}
		delete(p.wanted, m.From)
		entry.ProxyEntry = m.ProxyEntry
		p.wanted[m.ID] = entry
	}
	if p.peer == nil {
		return nil // it died: the next one gets what is wanted
	}
	if err := p.sendSoon(ctx, wire.ProxyChangeRequest{Move: moves}); err != nil && !proxyGone(err) {
		return err
	}
	return nil
}

// endDrained ends what is left of drained entries; a proxy that does not answer
// loses them with the table that it is given next. mu is held.
func (p *proxyLink) endDrained(ctx context.Context, ids []string) {
	var left []string
	for _, id := range ids {
		if p.drained[id] {
			delete(p.drained, id)
			left = append(left, id)
		}
	}
	if len(left) > 0 && p.peer != nil {
		_ = p.sendSoon(ctx, wire.ProxyChangeRequest{Remove: left})
	}
}

// begin makes the table of a proxy that outlived its daemon what is wanted.
func (p *proxyLink) begin(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = true
	return p.sync(ctx)
}

// close lets go of everything; the proxy lives on.
func (p *proxyLink) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, entry := range p.wanted {
		entry.socket.Close()
		delete(p.wanted, id)
	}
	if p.peer != nil {
		p.peer.Close()
	}
}

// sync makes the table be what is wanted. A proxy that leaves or dies under it
// is waited for, or started again. mu is held.
func (p *proxyLink) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	for {
		err := p.trySync(ctx)
		if err == nil || !proxyGone(err) || p.living.Err() != nil {
			return err
		}
		p.drop()
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// proxyGone reports whether an error means that this proxy has ended, or is
// about to.
func proxyGone(err error) bool {
	for _, e := range []error{wire.ErrClosed, os.ErrClosed, unix.ECONNREFUSED, unix.ENOENT, unix.EPIPE, unix.ECONNRESET} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (p *proxyLink) trySync(ctx context.Context) error {
	if p.peer == nil {
		if len(p.wanted) == 0 && !lockHeld(p.place.ProxyLock()) {
			return nil
		}
		if err := p.connect(ctx); err != nil {
			return err
		}
	}
	if err := p.change(ctx); err != nil {
		return err
	}
	if len(p.wanted) > 0 {
		return nil
	}
	return p.leave(ctx)
}

// connect starts the proxy, or asks the one that is there for its table.
func (p *proxyLink) connect(ctx context.Context) error {
	var exited chan struct{}
	process, err := wire.StartProxy(p.place, p.binary, p.small)
	switch {
	case err == nil:
		exited = make(chan struct{})
		go func() { // as a monitor it outlives us: Close does not wait
			defer close(exited)
			_, _ = wire.Wait(process) // it ends when its table is empty, or killed
		}()
	case !errors.Is(err, wire.ErrProxyThere):
		return err
	}
	conn, err := wire.Dial(p.place.ProxySocket())
	if err != nil {
		return fmt.Errorf("cannot reach the proxy: %w", err)
	}
	peer := wire.NewPeer(conn, func(_ context.Context, r *wire.Request) (wire.Reply, error) {
		container.CloseFiles(r.Files)
		return wire.Reply{}, fmt.Errorf("unknown request %q from the proxy", r.Kind)
	})
	peer.Attend(func() int { return wire.FindRole(p.place, wire.RoleProxy, "") })
	p.peer, p.exited, p.have = peer, exited, map[string]wire.ProxyEntry{}
	p.goDo(func() { p.follow(peer) })
	entries, err := listProxied(ctx, peer)
	if err != nil {
		if !proxyGone(err) {
			p.drop() // what it has is not known
		}
		return err
	}
	for _, entry := range entries {
		entry.socket.Close()
		p.have[entry.ID] = entry.ProxyEntry
	}
	return nil
}

// follow serves a connection, and starts the proxy again if it ends while
// something is wanted.
func (p *proxyLink) follow(peer *wire.Peer) {
	if err := peer.Serve(p.living); err != nil && p.living.Err() == nil {
		p.log.Warn("connection of the proxy", "err", err)
	}
	peer.Close()
	for {
		p.mu.Lock()
		mine := p.peer == peer
		if mine {
			p.drop()
		}
		again := p.living.Err() == nil && p.peer == nil && len(p.wanted) > 0
		var err error
		if again {
			err = p.sync(p.living)
		}
		p.mu.Unlock()
		if err == nil || p.living.Err() != nil {
			return
		}
		p.log.Warn("proxy is not started again", "err", err)
		select {
		case <-time.After(proxyPause):
		case <-p.living.Done():
			return
		}
	}
}

// drop forgets the connection. mu is held.
func (p *proxyLink) drop() {
	if p.peer != nil {
		p.peer.Close()
	}
	p.peer, p.exited, p.have, p.drained = nil, nil, nil, nil
}

// leave lets a proxy with an empty table end, and waits for that. mu is held.
func (p *proxyLink) leave(ctx context.Context) error {
	p.peer.Close()
	exited := p.exited
	p.drop()
	for exited == nil && lockHeld(p.place.ProxyLock()) { // another daemon's child
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("proxy does not leave: %w", ctx.Err())
		}
	}
	if exited == nil {
		return nil
	}
	select {
	case <-exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("proxy does not leave: %w", ctx.Err())
	}
}

// lockHeld reports whether another process holds the lock; a lock file that
// nobody holds is removed.
func lockHeld(path string) bool {
	lock, err := folder.TryLockFile(path, folder.Exclusive)
	if err != nil {
		return errors.Is(err, folder.ErrLocked)
	}
	defer lock.Unlock()
	_ = os.Remove(path) // it holds nothing
	return false
}
