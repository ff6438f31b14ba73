package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// rawMode hands every key to the other side until restore. Without a terminal it
// does nothing.
func (s *session) rawMode() (restore func(), err error) {
	f, ok := s.process.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}, nil
	}
	g, err := s.openGrip(f, raw)
	if err != nil {
		return nil, err
	}
	return g.close, nil
}

// wantsTTY decides about a terminal: one at both ends and nobody said no.
func (s *session) wantsTTY(noTTY bool) bool {
	return !noTTY && isTerminal(s.process.Stdin) && isTerminal(s.process.Stdout)
}

// size is that of our terminal.
func (s *session) size() client.Resize {
	columns, rows := terminalSize(s.process.Stdout)
	return client.Resize{Rows: uint16(rows), Columns: uint16(columns)}
}

// remote is a process in a container as joined to our terminal.
type remote struct {
	terminal, stdin bool
	// detachKeys leave it alone, where it has a terminal.
	detachKeys []byte
	// signal nil: a signal leaves it alone.
	// resize and signal reach it; attach comes back to it after the daemon
	// was lost behind so many bytes.
	resize func(ctx context.Context, size client.Resize) error
	signal func(ctx context.Context, name string) error
	attach func(ctx context.Context, from int64) (*client.Stream, error)
	// cutOff tells an end of the daemon from one of the process.
	cutOff func(ctx context.Context, stream *client.Stream) (bool, error)
	// hangup is done when our terminal is closed; nil leaves it alone.
	hangup func()
}

// join copies stdin, stdout and stderr until the process's output ends, or until
// somebody has left it. Signals and sizes are passed on. Keys cannot be taken back, so the goroutine
// that reads stdin is left behind: it ends with this program.
func (s *session) join(ctx context.Context, stream *client.Stream, r remote) (detached bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	current := &holder{stream: stream}
	defer current.close()
	keys := &detacher{}
	defer s.onHangup(r.hangup)()
	if r.terminal {
		restore, err := s.rawMode()
		if err != nil {
			return false, err
		}
		defer restore()
		keys.keys = r.detachKeys
	}
	if r.stdin {
		go s.guarded(func() { copyStdin(s.process.Stdin, current, keys) })
	} else if err := stream.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
		return false, err
	}
	var pass sync.WaitGroup
	defer pass.Wait()
	defer cancel()
	caught, release := s.process.Catch()
	defer release()
	pass.Add(1)
	go s.guarded(func() {
		defer pass.Done()
		s.passOn(ctx, r, caught, current.leave)
	})
	err = s.showOutput(ctx, current, r)
	return current.isLeft(), err
}

// showOutput copies stdout and stderr until they end, over the ends of daemons.
func (s *session) showOutput(ctx context.Context, current *holder, r remote) error {
	for shown, idle := int64(0), 0; ; {
		n, err := s.copyOutput(current.get(), r.terminal)
		shown += n
		if idle++; n > 0 {
			idle = 0
		}
		switch {
		case current.isLeft():
			return nil
		case ctx.Err() != nil || err != nil && (!client.Lost(err) || idle > mostReturns):
			return err
		case err == nil:
			if cut, err := r.cutOff(ctx, current.get()); err != nil || !cut {
				return err
			}
		}
		again, err := r.attach(ctx, shown)
		if errors.Is(err, spec.ErrNotRunning) {
			return nil // it has ended, and all was shown
		}
		if err != nil {
			return err
		}
		current.set(again)
	}
}

// mostReturns is how often join comes back to a stream that breaks without
// having brought anything.
const mostReturns = 5

// copyOutput returns how many bytes of the stream have been shown, whole frames
// only.
func (s *session) copyOutput(stream *client.Stream, terminal bool) (int64, error) {
	if terminal {
		if g := s.grip.Load(); g != nil {
			return io.Copy(io.MultiWriter(s.screen, &g.screen), stream)
		}
		return io.Copy(s.screen, stream)
	}
	return client.CopyFrames(stream, s.screen, s.screen.Stderr())
}

// passOn hands signals and sizes over until ctx ends.
func (s *session) passOn(ctx context.Context, r remote, interrupts <-chan os.Signal, leave func()) {
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.process.Resized:
			if r.terminal {
				err = r.resize(ctx, s.size())
			}
		case caught := <-interrupts:
			if r.signal == nil {
				leave()
				return
			}
			name := "SIGTERM"
			if caught == os.Interrupt {
				name = "SIGINT"
			}
			err = r.signal(ctx, name)
		}
		if err != nil && ctx.Err() == nil && !r.terminal {
			s.screen.Error(err)
		}
	}
}

// holder is the stream in use; it changes when the daemon does.
type holder struct {
	mu     sync.Mutex
	stream *client.Stream
	left   bool
	ended  bool // stdin
}

// end says that there is no more stdin, on this stream and on those that follow.
func (h *holder) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	_ = h.stream.CloseWrite() // or it has ended itself
}

// leave ends the stream: the process goes on without us.
func (h *holder) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	h.stream.Close()
}

func (h *holder) isLeft() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left
}

func (h *holder) get() *client.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stream
}

func (h *holder) set(s *client.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stream.Close()
	h.stream = s
	if h.ended {
		_ = s.CloseWrite()
	}
	if h.left {
		s.Close()
	}
}

func (h *holder) close() { h.get().Close() }

// copyStdin sends stdin and then its end. A stream that has ended takes no
// more; what was typed then is lost, as with any closed pipe.
func copyStdin(from io.Reader, to *holder, keys *detacher) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		typed, found := keys.pass(buffer[:n])
		if len(typed) > 0 {
			_, _ = to.get().Write(typed) // the daemon was lost: on with the next stream
		}
		if found {
			to.leave()
			return
		}
		if err != nil {
			to.end()
			return
		}
	}
}
