package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/wire"
)

// IdleTime is how long a builder stays with nothing to do.
const IdleTime = 30 * time.Second

// server is one connection to the daemon.
type server struct {
	builder *Builder
	peer    *wire.Peer
	idle    *time.Timer
	after   time.Duration
	left    atomic.Bool // the connection was closed by ourselves

	mu   sync.Mutex // guards what follows
	jobs map[string]context.CancelFunc
	// canceled are jobs whose cancel came before they had begun: calls run
	// in goroutines of their own, notifications do not.
	canceled map[string]bool
	busy     int // calls in progress
}

// Serve answers the daemon on conn until it closes the connection, ctx ends,
// or nothing was asked for the time idle. It then ends what still runs, waits
// for it, and returns.
func (b *Builder) Serve(ctx context.Context, conn *wire.Conn, idle time.Duration) error {
	s := &server{builder: b, after: idle, jobs: map[string]context.CancelFunc{}, canceled: map[string]bool{}}
	s.peer = wire.NewPeer(conn, s.handle)
	b.host.Store(s)
	s.idle = time.AfterFunc(idle, s.goIdle)
	defer s.idle.Stop()
	err := s.peer.Serve(ctx)
	if s.left.Load() || ctx.Err() != nil {
		err = nil // closed by ourselves
	}
	// BuildKit lets a cancelled build go before its steps have ended.
	return errors.Join(err, b.steps.stop(context.WithoutCancel(ctx)))
}

// goIdle uses the quiet to tidy up, and ends the connection.
func (s *server) goIdle() {
	s.mu.Lock()
	busy := s.busy > 0
	s.mu.Unlock()
	if busy {
		return
	}
	if err := s.builder.trim(context.Background()); err != nil {
		s.builder.log.Warn("cannot tidy up", "error", err)
	}
	s.left.Store(true)
	s.peer.Close()
}

// handle answers one request. See image/protocol.go for who asks what.
func (s *server) handle(ctx context.Context, r *wire.Request) (wire.Reply, error) {
	defer closeFiles(r.Files)
	if r.Kind == image.KindCancel {
		var q image.CancelRequest
		if err := r.Decode(&q); err != nil {
			return wire.Reply{}, err
		}
		s.cancel(q.Job)
		return wire.Reply{}, nil
	}
	s.enter()
	defer s.leave()
	body, err := s.answer(inNamespace(ctx), r)
	if err != nil {
		// What the failed operation has made belongs to nobody now.
		if e := s.builder.store.collect(inNamespace(context.WithoutCancel(ctx))); e != nil {
			s.builder.log.Warn("cannot collect after a failed request", "request", r.Kind, "error", e)
		}
		return wire.Reply{}, classify(err)
	}
	return wire.Reply{Body: body}, nil
}

func (s *server) answer(ctx context.Context, r *wire.Request) (any, error) {
	b := s.builder
	switch r.Kind {
	case image.KindPull:
		return run(ctx, s, r, func(q image.PullRequest) string { return q.Job }, b.pull)
	case image.KindPush:
		return run(ctx, s, r, func(q image.PushRequest) string { return q.Job }, b.push)
	case image.KindBuild:
		return run(ctx, s, r, func(q image.BuildRequest) string { return q.Job }, b.build)
	case image.KindImport, image.KindLoad, image.KindSave:
		if len(r.Files) != 1 {
			return nil, fmt.Errorf("bad request %s: want 1 file, have %d", r.Kind, len(r.Files))
		}
	case image.KindRelease:
		var q image.ReleaseRequest
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		return struct{}{}, b.store.Release(ctx, q.Digest)
	case image.KindKeep:
		var q image.KeepRequest
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		missing, err := b.store.Keep(ctx, q.Digests)
		return image.KeepResult{Missing: missing}, err
	case image.KindPrune:
		var q image.PruneRequest
		if err := r.Decode(&q); err != nil {
			return nil, err
		}
		freed, err := b.prune(ctx, q)
		return image.PruneResult{Bytes: freed}, err
	default:
		return nil, fmt.Errorf("unknown request %q", r.Kind)
	}
	if r.Kind == image.KindImport {
		return run(ctx, s, r, func(q image.ImportRequest) string { return q.Job },
			func(ctx context.Context, q image.ImportRequest, j *job) (image.Result, error) {
				return b.importTar(ctx, q, r.Files[0], j)
			})
	}
	if r.Kind == image.KindSave {
		return run(ctx, s, r, func(q image.SaveRequest) string { return q.Job },
			func(ctx context.Context, q image.SaveRequest, _ *job) (struct{}, error) {
				return struct{}{}, b.save(ctx, q, r.Files[0])
			})
	}
	return run(ctx, s, r, func(q image.LoadRequest) string { return q.Job },
		func(ctx context.Context, q image.LoadRequest, j *job) (image.LoadResult, error) {
			return b.load(ctx, q, r.Files[0], j)
		})
}

// run decodes a request that is a job, makes it cancellable and runs it.
func run[Q, A any](ctx context.Context, s *server, r *wire.Request, id func(Q) string, do func(context.Context, Q, *job) (A, error)) (any, error) {
	var q Q
	if err := r.Decode(&q); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	name := id(q)
	if name != "" {
		if err := s.begin(name, cancel); err != nil {
			return nil, err
		}
		defer s.end(name)
	}
	return do(ctx, q, &job{id: name, emit: s.emit})
}

// emit tells an event. If that fails the connection has ended, and with it
// the job.
func (s *server) emit(e image.Event) { _ = s.peer.Notify(image.KindEvent, e) }

func (s *server) begin(id string, cancel context.CancelFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[id] != nil {
		return errors.New("job " + id + " is running already")
	}
	if s.canceled[id] {
		delete(s.canceled, id)
		return context.Canceled
	}
	s.jobs[id] = cancel
	return nil
}

func (s *server) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, id)
}

func (s *server) cancel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.jobs[id]; cancel != nil {
		cancel()
	} else {
		s.canceled[id] = true
	}
}

func (s *server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy++
	s.idle.Stop()
}

func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy--; s.busy == 0 {
		s.idle.Reset(s.after)
	}
}

// resolve asks the daemon which record a normalized name means; "" for none.
func (s *server) resolve(ctx context.Context, name string) (string, error) {
	var out image.ResolveResult
	_, err := s.peer.Call(ctx, image.KindResolve, image.ResolveRequest{Reference: name}, &out)
	return out.Digest, err
}

// keep has the daemon store an image that a build has pulled.
func (s *server) keep(ctx context.Context, r image.Result) error {
	_, err := s.peer.Call(ctx, image.KindStore, r, nil)
	return err
}

// openSandbox gets a network namespace for a step.
func (s *server) openSandbox(ctx context.Context, q image.SandboxRequest) (image.Sandbox, *os.File, error) {
	var out image.Sandbox
	files, err := s.peer.Call(ctx, image.KindSandbox, q, &out)
	if err != nil {
		return out, nil, fmt.Errorf("cannot get a network for the step: %w", err)
	}
	if len(files) != 1 {
		closeFiles(files)
		return out, nil, fmt.Errorf("cannot get a network for the step: the daemon sent %d descriptors", len(files))
	}
	return out, files[0], nil
}

func (s *server) closeSandbox(ctx context.Context, id string) error {
	_, err := s.peer.Call(ctx, image.KindUnsandbox, image.SandboxClose{ID: id}, nil)
	return err
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
