package engine

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// justClosed are the sockets that were closed here lately, by name. A child that has not
// executed its program yet may have them for a moment more.
type justClosed struct {
	mu sync.Mutex // guards what follows
	at map[string]time.Time
}

func (g *justClosed) note(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for other, at := range g.at {
		if time.Since(at) > forkTime {
			delete(g.at, other)
		}
	}
	if g.at == nil {
		g.at = map[string]time.Time{}
	}
	g.at[name] = time.Now()
}

// has reports whether a socket of a port is among them, on whichever address.
func (g *justClosed) has(protocol string, number uint16) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, at := range g.at {
		if time.Since(at) <= forkTime && strings.HasPrefix(name, protocol+" ") && strings.HasSuffix(name, ":"+strconv.Itoa(int(number))) {
			return true
		}
	}
	return false
}

// Keeper keeps descriptors for the next engine, should this one die. A
// KeeperLink is one; tests have another.
type Keeper interface {
	// Keep keeps duplicates of a container's files by name, each in the
	// place of one of the same name.
	Keep(ctx context.Context, container string, files map[string]*os.File) error
	// Drop closes all of the containers' files; unknown ones are success.
	Drop(ctx context.Context, containers ...string) error
	// List returns all files, which are the caller's, by container and name.
	List(ctx context.Context) (map[string]map[string]*os.File, error)
}

// hold takes over files, keeps them and notes them as the container's. turn
// is held.
func (e *Engine) hold(ctx context.Context, l *life, files map[string]*os.File) error {
	if len(files) == 0 {
		return nil
	}
	if l.held.sockets == nil {
		l.held.sockets = map[string]*os.File{}
	}
	for name, f := range files {
		if old := l.held.sockets[name]; old != nil {
			old.Close()
		}
		l.held.sockets[name] = f
	}
	return e.cfg.Keeper.Keep(ctx, l.id, files)
}

// dropSockets closes the container's sockets here and in the keeper. turn is
// held.
func (e *Engine) dropSockets(l *life) error {
	if len(l.held.sockets) == 0 {
		return nil
	}
	for name, f := range l.held.sockets {
		f.Close()
		e.lately.note(name)
	}
	l.held.sockets = nil
	return e.drops.do(l.id, func(ids []string) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), killTime)
		defer cancel()
		return e.cfg.Keeper.Drop(ctx, ids...)
	})
}
