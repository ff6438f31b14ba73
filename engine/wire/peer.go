package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

// RemoteError is an error that the other side answered with.
type RemoteError struct {
	Code string // "" or a word both sides know
	Text string
}

func (e *RemoteError) Error() string { return e.Text }

// Coder is an error that has a Code to be sent with it.
type Coder interface{ WireCode() string }

// WireCode returns the code, so that an error can be passed on unchanged.
func (e *RemoteError) WireCode() string { return e.Code }

// ErrClosed is returned by calls on a connection that has ended.
var ErrClosed = errors.New("connection closed")

// Request is a call or a notification from the other side. The handler owns
// its Files and closes them.
type Request struct {
	Kind  string
	Body  json.RawMessage
	Files []*os.File
}

// Decode reads the body into v.
func (r *Request) Decode(v any) error {
	if err := json.Unmarshal(r.Body, v); err != nil {
		return fmt.Errorf("cannot read request %s: %w", r.Kind, err)
	}
	return nil
}

// Reply is what a handler answers: a value for the body and descriptors,
// which Peer closes once they are sent.
type Reply struct {
	Body  any
	Files []*os.File
	// Sent, if not nil, is called once the answer is on its way, or cannot
	// be sent: what ends the process comes after its answer.
	Sent func()
}

// Handler answers one request. A call runs in a goroutine of its own. A
// notification runs in the reading goroutine, so that notifications keep their
// order: its handler must not block and must not Call; its answer is dropped.
// ctx ends with the connection.
type Handler func(ctx context.Context, r *Request) (Reply, error)

// Peer is one end of a connection with calls in both directions.
type Peer struct {
	conn    *Conn
	handler Handler
	find    func() int   // see Attend; or nil
	pid     atomic.Int64 // that it returned

	mu      sync.Mutex // guards what follows
	nextID  uint64
	waiting map[uint64]chan answer
	closed  bool
}

type answer struct {
	message Message
	files   []*os.File
}

// NewPeer wraps conn. Serve must be running for calls to be answered.
func NewPeer(conn *Conn, handler Handler) *Peer {
	return &Peer{conn: conn, handler: handler, waiting: map[uint64]chan answer{}}
}

// Close ends the connection. Serve returns.
func (p *Peer) Close() error { return p.conn.Close() }

// Serve reads until the connection ends, then fails the calls that wait and
// waits for the handlers. It returns nil when the other side closed.
func (p *Peer) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer p.failWaiting()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	for {
		body, files, err := p.conn.Receive()
		if err == io.EOF || errors.Is(err, os.ErrClosed) || errors.Is(err, unix.ECONNRESET) {
			return nil // reset: it ended before it had read everything
		}
		if err != nil {
			return err
		}
		fault.Point("wire:received")
		var m Message
		if err := m.decode(body); err != nil {
			closeFiles(files)
			return err
		}
		if m.Answer {
			p.deliver(answer{m, files})
			continue
		}
		if m.ID == 0 {
			p.handle(ctx, m, files) // in order, see Handler
			continue
		}
		handlers.Add(1)
		go func() {
			defer handlers.Done()
			p.handle(ctx, m, files)
		}()
	}
}

func (p *Peer) handle(ctx context.Context, m Message, files []*os.File) {
	reply, err := p.handler(ctx, &Request{Kind: m.Kind, Body: m.Body, Files: files})
	defer closeFiles(reply.Files)
	if reply.Sent != nil {
		defer reply.Sent()
	}
	if m.ID == 0 {
		return
	}
	out := Message{ID: m.ID, Answer: true}
	if err == nil && reply.Body != nil {
		out.Body, err = json.Marshal(reply.Body)
	}
	if err != nil {
		out.Body = nil
		out.Error = err.Error()
		var coder Coder
		if errors.As(err, &coder) {
			out.Code = coder.WireCode()
		}
	}
	// A failed send means the connection has ended; Serve sees it too.
	_ = p.send(out, reply.Files)
}

// Call asks the other side and waits for its answer, which is decoded into
// out unless out is nil. files are duplicated into the other process; the
// caller keeps its own. Files that come with the answer belong to the caller.
func (p *Peer) Call(ctx context.Context, kind string, in, out any, files ...*os.File) ([]*os.File, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("cannot write request %s: %w", kind, err)
	}
	id, result := p.register()
	if id == 0 {
		return nil, ErrClosed
	}
	defer p.forget(id)
	if err := p.send(Message{Kind: kind, ID: id, Body: body}, files); err != nil {
		return nil, err
	}
	a, err := p.await(ctx, result)
	if err != nil {
		return nil, err
	}
	if a.message.Error != "" {
		closeFiles(a.files)
		return nil, &RemoteError{Code: a.message.Code, Text: a.message.Error}
	}
	if out != nil {
		if err := json.Unmarshal(a.message.Body, out); err != nil {
			closeFiles(a.files)
			return nil, fmt.Errorf("cannot read answer to %s: %w", kind, err)
		}
	}
	return a.files, nil
}

// await waits for the answer to a call.
func (p *Peer) await(ctx context.Context, result <-chan answer) (answer, error) {
	var quiet <-chan time.Time
	if p.find != nil {
		look := time.NewTicker(silence)
		defer look.Stop()
		quiet = look.C
	}
	for {
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-quiet:
			p.letGoOn()
		case a, ok := <-result:
			if !ok {
				return answer{}, ErrClosed
			}
			return a, nil
		}
	}
}

// Notify tells the other side something without waiting for an answer.
func (p *Peer) Notify(kind string, in any, files ...*os.File) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("cannot write notification %s: %w", kind, err)
	}
	return p.send(Message{Kind: kind, Body: body}, files)
}

func (p *Peer) send(m Message, files []*os.File) error {
	body, err := m.encode()
	if err != nil {
		return fmt.Errorf("cannot write message: %w", err)
	}
	fds, err := numbers(files...)
	if err != nil {
		return err
	}
	if err := fault.Errno("wire:send"); err != nil {
		return err
	}
	defer fault.Point("wire:sent")
	err = p.conn.Send(body, fds...)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, os.ErrClosed) {
		// Serve has not seen it yet: to a caller it is the same end.
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

func (p *Peer) register() (uint64, chan answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, nil
	}
	p.nextID++
	result := make(chan answer, 1)
	p.waiting[p.nextID] = result
	return p.nextID, result
}

func (p *Peer) forget(id uint64) {
	p.mu.Lock()
	result := p.waiting[id]
	delete(p.waiting, id)
	p.mu.Unlock()
	select {
	case a, ok := <-result: // came while the caller gave up
		if ok {
			closeFiles(a.files)
		}
	default:
	}
}

func (p *Peer) deliver(a answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	result, ok := p.waiting[a.message.ID]
	if !ok {
		closeFiles(a.files)
		return
	}
	delete(p.waiting, a.message.ID)
	result <- a
}

func (p *Peer) failWaiting() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for id, result := range p.waiting {
		delete(p.waiting, id)
		close(result)
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
