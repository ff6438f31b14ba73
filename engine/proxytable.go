package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/wire"
)

// change sends what differs, in pages. mu is held.
func (p *proxyLink) change(ctx context.Context) error {
	var request wire.ProxyChangeRequest
	for id, entry := range p.have {
		if p.wanted[id].ProxyEntry != entry {
			request.Remove = append(request.Remove, id)
		}
	}
	var files []*os.File
	for _, id := range slices.Sorted(maps.Keys(p.wanted)) {
		if entry := p.wanted[id]; p.have[id] != entry.ProxyEntry {
			request.Add, files = append(request.Add, entry.ProxyEntry), append(files, entry.socket)
		}
	}
	// First what is added: an empty table between would end the proxy. What
	// is there with another target is replaced by its id.
	request.Remove = slices.DeleteFunc(request.Remove, func(id string) bool { _, again := p.wanted[id]; return again })
	for len(request.Add) > 0 {
		n := min(len(files), wire.MaxFiles)
		if err := p.send(ctx, wire.ProxyChangeRequest{Add: request.Add[:n]}, files[:n]); err != nil {
			return err
		}
		request.Add, files = request.Add[n:], files[n:]
	}
	if len(request.Remove) == 0 {
		return nil
	}
	err := p.send(ctx, wire.ProxyChangeRequest{Remove: request.Remove}, nil)
	if len(p.wanted) == 0 && proxyGone(err) {
		return nil // it has left at once
	}
	return err
}

// sendSoon is send without sockets, for killTime at most. mu is held.
func (p *proxyLink) sendSoon(ctx context.Context, request wire.ProxyChangeRequest) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	return p.send(ctx, request, nil)
}

// send sends one change and notes what is there with it. If there is no answer
// the connection is dropped, since nobody knows what is there then. mu is held.
func (p *proxyLink) send(ctx context.Context, request wire.ProxyChangeRequest, files []*os.File) error {
	var answer wire.ProxyChangeAnswer
	if _, err := p.peer.Call(ctx, wire.ProxyChange, request, &answer, files...); err != nil {
		if !proxyGone(err) {
			p.drop()
		}
		return fmt.Errorf("cannot change the proxy's table: %w", err)
	}
	for _, id := range slices.Concat(request.Remove, request.Drain) {
		delete(p.have, id)
	}
	var errs []error
	for _, m := range request.Move {
		delete(p.have, m.From)
		if text, bad := answer.Failed[m.ID]; bad {
			errs = append(errs, errors.New(text))
			continue
		}
		p.have[m.ID] = m.ProxyEntry
	}
	for _, entry := range request.Add {
		if text, bad := answer.Failed[entry.ID]; bad {
			errs = append(errs, errors.New(text))
			delete(p.have, entry.ID)
			continue
		}
		p.have[entry.ID] = entry
	}
	return errors.Join(errs...)
}

// survivors returns the table of a proxy that is there, with its sockets: they
// are all that is left of them if keeper and daemon died together.
func (p *proxyLink) survivors(ctx context.Context) ([]proxied, error) {
	if !lockHeld(p.place.ProxyLock()) {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	for {
		err := p.connect(ctx)
		if err == nil {
			return listProxied(ctx, p.peer)
		}
		if !proxyGone(err) || ctx.Err() != nil {
			return nil, err
		}
		p.drop()
		if !lockHeld(p.place.ProxyLock()) {
			return nil, nil
		}
		time.Sleep(time.Millisecond)
	}
}

// listProxied asks for the whole table; the sockets are the caller's.
func listProxied(ctx context.Context, peer *wire.Peer) ([]proxied, error) {
	var out []proxied
	var request wire.ProxyListRequest
	for {
		var answer wire.ProxyListAnswer
		files, err := peer.Call(ctx, wire.ProxyList, request, &answer)
		if err == nil && len(files) != len(answer.Entries) {
			container.CloseFiles(files)
			err = fmt.Errorf("%d sockets for %d entries", len(files), len(answer.Entries))
		}
		if err != nil {
			for _, entry := range out {
				entry.socket.Close()
			}
			return nil, fmt.Errorf("cannot list the proxy's table: %w", err)
		}
		for i, entry := range answer.Entries {
			out = append(out, proxied{entry, files[i]})
			request.After = entry.ID
		}
		if !answer.More {
			return out, nil
		}
	}
}
