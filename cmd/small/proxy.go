package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
	"github.com/mycompose/mycompose/network/proxy"
)

// firstTime is how long a proxy waits for the daemon that started it.
const firstTime = 10 * time.Second

// errEnd: the proxy was asked to end.
var errEnd = errors.New("asked to end")

// proxyMain is the role mycompose-proxy, started by wire.StartProxy. It returns
// the exit code.
func proxyMain() int {
	err := serveProxy()
	if err != nil && !errors.Is(err, errEnd) {
		proxyLog("%v", err)
		return 1
	}
	return 0
}

func proxyLog(format string, args ...any) { wire.Logf(wire.RoleProxy, format, args...) }

func serveProxy() error {
	inherited, err := wire.TakeInherited()
	if err != nil {
		return err
	}
	place, err := folder.Inherited()
	if err != nil {
		return err
	}
	if err := wire.TakeName(wire.RoleProxy); err != nil {
		return err
	}
	inherited.Binary.Close() // only a keeper is started from it
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP) // not heeded

	s := newProxyServer(inherited.Listener, signals)
	err = proxy.Run(s, func(id string, err error) { proxyLog("%s: %v", id, err) })
	// Under the lock, so that they are not the next proxy's.
	os.Remove(place.ProxySocket())
	os.Remove(place.ProxyLock())
	runtime.KeepAlive(inherited.Lock)
	return err
}

// proxyServer is the daemon's side of the table: proxy.Changes out of what the
// connections bring.
type proxyServer struct {
	listener *wire.Listener
	signals  <-chan os.Signal
	changes  chan proxy.Change
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	serving  sync.WaitGroup

	turn sync.Mutex // held over each request; guards entries
	// entries are the table's; the files are duplicates of its sockets.
	entries map[string]proxyEntry
}

type proxyEntry struct {
	wire.ProxyEntry
	socket *os.File
}

func newProxyServer(listener *wire.Listener, signals <-chan os.Signal) *proxyServer {
	s := &proxyServer{listener: listener, signals: signals,
		changes: make(chan proxy.Change), entries: map[string]proxyEntry{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.serving.Go(s.accept)
	return s
}

// Next implements proxy.Changes.
func (s *proxyServer) Next() (proxy.Change, error) {
	select {
	case c := <-s.changes:
		return c, nil
	case <-s.signals:
		return proxy.Change{}, errEnd
	}
}

// Wake implements proxy.Changes.
func (s *proxyServer) Wake() { _ = s.push(proxy.Change{}) } // or it is leaving

// Close implements proxy.Changes.
func (s *proxyServer) Close() error {
	s.cancel()
	err := s.listener.Close()
	s.serving.Wait()
	return err
}

// accept serves connections until Close. A change of nothing lets an empty
// table end the proxy: when the daemon that started it never came, and when
// one has gone.
func (s *proxyServer) accept() {
	s.serving.Go(func() {
		select {
		case <-time.After(firstTime):
			_ = s.push(proxy.Change{})
		case <-s.ctx.Done():
		}
	})
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			proxyLog("%v", err)
			return // what is in the table goes on
		}
		s.serving.Go(func() {
			peer := wire.NewPeer(conn, s.handle)
			if err := peer.Serve(s.ctx); err != nil {
				proxyLog("connection of the daemon: %v", err)
			}
			peer.Close()
			_ = s.push(proxy.Change{})
		})
	}
}

// push hands a change to the table.
func (s *proxyServer) push(c proxy.Change) error {
	select {
	case s.changes <- c:
		return nil
	case <-s.ctx.Done():
		return errors.New("the proxy is leaving")
	}
}

func (s *proxyServer) handle(_ context.Context, r *wire.Request) (wire.Reply, error) {
	defer closeFiles(r.Files)
	s.turn.Lock()
	defer s.turn.Unlock()
	switch r.Kind {
	case wire.ProxyChange:
		var in wire.ProxyChangeRequest
		if err := r.Decode(&in); err != nil {
			return wire.Reply{}, err
		}
		return s.change(in, r.Files)
	case wire.ProxyList:
		var in wire.ProxyListRequest
		if err := r.Decode(&in); err != nil {
			return wire.Reply{}, err
		}
		return s.list(in)
	}
	return wire.Reply{}, fmt.Errorf("proxy does not know the request %q", r.Kind)
}

// change alters the table and waits until that is in force. turn is held.
func (s *proxyServer) change(in wire.ProxyChangeRequest, files []*os.File) (wire.Reply, error) {
	if len(files) != len(in.Add) {
		return wire.Reply{}, fmt.Errorf("%d sockets for %d entries", len(files), len(in.Add))
	}
	failed := make(chan map[string]error, 1)
	c := proxy.Change{Remove: in.Remove, Drain: in.Drain, Done: func(f map[string]error) { failed <- f }}
	var added []proxyEntry
	for i, e := range in.Add {
		old, there := s.entries[e.ID]
		if there && old.ProxyEntry == e && !slices.Contains(in.Remove, e.ID) {
			continue
		}
		pair, err := duplicates(files[i])
		if err != nil {
			for j := range added {
				closeFiles([]*os.File{added[j].socket, c.Add[j].Listener})
			}
			return wire.Reply{}, err
		}
		added = append(added, proxyEntry{e, pair[0]})
		c.Add = append(c.Add, proxy.Entry{ID: e.ID, Listener: pair[1], Target: targetOf(e), Hold: holdOf(e)})
	}
	for _, m := range in.Move {
		c.Move = append(c.Move, proxy.Move{From: m.From, ID: m.ID, Target: targetOf(m.ProxyEntry), Hold: holdOf(m.ProxyEntry)})
	}
	if err := s.push(c); err != nil {
		return wire.Reply{}, err
	}
	answer := wire.ProxyChangeAnswer{Failed: map[string]string{}}
	for id, err := range <-failed {
		answer.Failed[id] = err.Error()
	}
	for _, id := range append(in.Remove, in.Drain...) {
		s.forget(id)
	}
	for _, m := range in.Move {
		if _, bad := answer.Failed[m.ID]; !bad {
			moved := proxyEntry{m.ProxyEntry, s.entries[m.From].socket}
			delete(s.entries, m.From)
			s.forget(m.ID)
			s.entries[m.ID] = moved
		}
	}
	for _, e := range added {
		s.forget(e.ID)
		if _, bad := answer.Failed[e.ID]; bad {
			e.socket.Close()
		} else {
			s.entries[e.ID] = e
		}
	}
	return wire.Reply{Body: answer}, nil
}

func targetOf(e wire.ProxyEntry) proxy.Target {
	return proxy.Target{Addr: e.Addr, Addr6: e.Addr6, Port: e.Port}
}

func holdOf(e wire.ProxyEntry) time.Duration { return time.Duration(e.Hold) * time.Millisecond }

func (s *proxyServer) forget(id string) {
	if e, ok := s.entries[id]; ok {
		e.socket.Close()
		delete(s.entries, id)
	}
}

// list answers with the table and its sockets. turn is held.
func (s *proxyServer) list(in wire.ProxyListRequest) (wire.Reply, error) {
	var ids []string
	for id := range s.entries {
		if id > in.After {
			ids = append(ids, id)
		}
	}
	folder.SortNames(ids)
	answer := wire.ProxyListAnswer{More: len(ids) > wire.MaxFiles}
	var files []*os.File
	for _, id := range ids[:min(len(ids), wire.MaxFiles)] {
		file, err := wire.Duplicate(s.entries[id].socket)
		if err != nil {
			closeFiles(files)
			return wire.Reply{}, err
		}
		answer.Entries = append(answer.Entries, s.entries[id].ProxyEntry)
		files = append(files, file)
	}
	return wire.Reply{Body: answer, Files: files}, nil
}

func duplicates(f *os.File) (pair [2]*os.File, err error) {
	if pair[0], err = wire.Duplicate(f); err != nil {
		return pair, err
	}
	if pair[1], err = wire.Duplicate(f); err != nil {
		pair[0].Close()
	}
	return pair, err
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
