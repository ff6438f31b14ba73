package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/engine/store"
)

// Config is what the socket is served with.
type Config struct {
	Store *store.Store
	Parts Parts
	// Build is client.BuildID, Version what `version` says.
	Build, Version string
	Log            *slog.Logger
}

// drain is how long requests may take to end once the daemon ends.
const drain = 2 * time.Second

// garbage is how much memory may be garbage before it is collected, in percent of
// what is not (GOGC): an up of 50 makes some 30 MB, and rest gives back what is left.
const garbage = 400

// Serve listens on the place's socket and carries out operations until ctx
// ends, first those that an earlier daemon left. The caller holds daemon.lock.
// Containers are not touched by its end.
func Serve(ctx context.Context, c Config) error {
	debug.SetGCPercent(garbage)
	// Operations end later than requests: their events are still sent.
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(errEnding)
	if c.Parts.inputs == nil {
		c.Parts.inputs = &inputs{store: c.Store, contents: c.Parts.Contents}
	}
	s := &server{
		Parts: c.Parts, happened: newHappenings(), instance: client.NewID(), log: c.Log, ctx: life, objects: c.Store,
		operations: newOperations(life, records{c.Store}, c.Parts.inputs, c.Parts.Runner, c.Log),
		info: client.Info{
			Version: c.Version, Build: c.Build, StateDir: c.Store.State, RunDir: c.Store.Run,
			PID: os.Getpid(), Started: time.Now(), Kernel: kernel(),
		},
	}
	c.Parts.inputs.awaited = s.operations.digests
	if c.Parts.Happenings != nil {
		s.happened.listen(life, c.Parts.Happenings)
	}
	listener, err := listen(c.Store.Socket())
	if err != nil {
		return err
	}
	if c.Parts.Watches != nil {
		c.Parts.Watches.Operations = watchedOperations{s.operations}
		c.Parts.Watches.Follower = follower{life: life, take: s.take, binary: "/proc/self/exe"}
		if err := c.Parts.Watches.Open(life); err != nil {
			c.Log.Error("not all is watched that was", "err", err)
		}
		defer c.Parts.Watches.Close()
	}
	calm := newQuiet(rest)
	defer calm.stop()
	s.operations.quiet = calm
	if err := s.operations.resume(); err != nil {
		c.Log.Error("cannot resume all operations", "err", err)
	}
	// The peer may take its time over a request; an upload of nothing must not
	// hold a connection for ever.
	web := &http.Server{Handler: calm.around(s.handler()), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug)}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	name := named{path: c.Store.Socket(), log: c.Log, serve: func(l net.Listener) {
		s.listening.Go(func() { _ = web.Serve(l) }) // until the first one ends
	}}
	if err := name.keep(); err != nil {
		c.Log.Error("the daemon's socket is not watched", "err", err)
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
		served <- err
	}
	name.close() // before its socket goes, which takes it along
	end(errEnding)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if web.Shutdown(stopping) != nil {
		web.Close() // a client that does not read
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	s.listening.Wait()
	s.hijacked.Wait()
	s.operations.close()
	s.happened.wait()
	if err != nil {
		return fmt.Errorf("cannot serve %s: %w", c.Store.Socket(), err)
	}
	return nil
}

// rest gives back what work has left: garbage, and the pages of our own file that
// are mapped because they, or a neighbour, were used once.
func rest() {
	debug.FreeOSMemory()
	parts.Unmap()
}

// kernel is the release of the running kernel, uname(2).
func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
