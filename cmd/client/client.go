package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
)

// Client asks one daemon. Its methods may be called by many goroutines.
type Client struct {
	socket string
	build  string
	ensure func(context.Context) error
	http   http.Client
	// trouble is Config.Trouble.
	trouble func(time.Time) (string, int)
	keeper  func() (string, bool)       // Config.Keeper
	greet   func(context.Context) error // nil: nobody is greeted
	silence time.Duration               // how long dial waits before absent
	slow    time.Duration               // and before it asks keeper
	absent  func()                      // tells, once, that no daemon comes
	halted  func(stopped bool, pid int) // nil, or onStop's

	greeting sync.Mutex // held while greet works
	mu       sync.Mutex // guards what follows
	peer     Peer       // from the newest answer
	greeted  bool
	started  map[string]opened // events that StartOperation opened, by operation
}

// Peer is what an answer's headers say of the daemon.
type Peer struct {
	Build    string
	Protocol int
	// Busy names what it works at; "" is idle.
	Busy string
	// Instance names its life.
	Instance string
}

// Config makes a Client.
type Config struct {
	// RunDir is the runtime folder that holds the socket.
	RunDir string
	// Build is the caller's BuildID.
	Build string
	// Ensure makes sure that a keeper runs, which starts the daemon. Nil
	// never starts anything.
	Ensure func(context.Context) error
	// Trouble, if it is not nil, says why daemons that were started since a
	// moment have ended by themselves, and how many have.
	Trouble func(since time.Time) (why string, ends int)
	// Keeper, if it is not nil, says what the keeper does, "the keeper (pid 7) is
	// stopped", and whether to wait for it is in vain.
	Keeper func() (does string, vain bool)
	// Waiting, if it is not nil, has the daemon greeted (handover.go) before
	// it gets anything to do; it is told what the greeting waits for, once that no
	// daemon comes, and that somebody has stopped the daemon, from any goroutine.
	// Replace gives our binary to the keeper.
	Waiting func(text string)
	Replace func(context.Context) error
}

// New returns a client; it dials with the first request.
func New(c Config) *Client {
	client := &Client{
		socket: filepath.Join(c.RunDir, SocketName),
		build:  c.Build,
		ensure: c.Ensure, trouble: c.Trouble, keeper: c.Keeper,

		silence: longestSilence, slow: startTimeout,
		absent:  func() {},
		started: map[string]opened{},
	}
	if c.Waiting != nil {
		client.absent = sync.OnceFunc(func() { c.Waiting("no daemon answers: waiting for the keeper to start one") })
		client.halted = onStop(c.Waiting)
		client.greet = func(ctx context.Context) error { return client.Greet(ctx, c.Replace, c.Waiting) }
	}
	client.http.Transport = &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return client.dial(ctx)
		},
	}
	return client
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Peer returns what the newest answer said of the daemon.
func (c *Client) Peer() Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

// longestSilence is how long a command waits for a daemon before it says so.
const longestSilence = 2 * time.Second

// startTimeout is how long a daemon may take from ensure to its socket if the
// keeper can start none; mostStarts of it if it can.
const (
	startTimeout = 20 * time.Second
	mostStarts   = 6
)

// longestPause is that between two tries to reach a daemon that starts: it takes
// some tens of milliseconds, and a try takes ten microseconds.
const longestPause = 4 * time.Millisecond

// Daemons that have ended by themselves so often lately, and again since we
// wait, will go on doing so; what made one end may pass. The keeper lets some
// seconds pass between two.
const (
	hopeless     = 3
	lately       = 20 * time.Second
	patience     = 3 * time.Second
	troublePause = 250 * time.Millisecond
)

// notUpError is that daemons do not stay up. To ask again is in vain.
type notUpError struct{ why string }

func (e *notUpError) Error() string { return "the daemon does not stay up: " + e.why }

// neverUpError is that no daemon came for as long as one may take: who may start
// one cannot. To ask again is in vain too.
type neverUpError struct {
	socket, keeper string
	waited         time.Duration
}

func (e *neverUpError) Error() string {
	text := fmt.Sprintf("cannot reach the daemon: nobody listened at %s for %s", e.socket, e.waited)
	if e.keeper != "" {
		text += ": " + e.keeper
	}
	return text
}

// ErrNoDaemon is the cause when no daemon answers and none may be started.
var ErrNoDaemon = errors.New("the daemon does not run")

// dial connects, starting keeper and daemon if nobody listens.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := c.connect(ctx)
	if unixConn, ok := conn.(*net.UnixConn); ok && c.halted != nil {
		return c.attend(unixConn), nil
	}
	return conn, err
}

func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", c.socket)
	if err == nil || !nobodyListens(err) {
		return conn, err
	}
	if c.ensure == nil {
		return nil, fmt.Errorf("cannot reach %s: %w", c.socket, ErrNoDaemon)
	}
	if err := c.ensure(ctx); err != nil {
		return nil, fmt.Errorf("cannot start the daemon: %w", err)
	}
	late := time.NewTicker(c.slow)
	defer late.Stop()
	began, looked := time.Now(), time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, longestPause) {
		conn, err := dialer.DialContext(ctx, "unix", c.socket)
		if err == nil {
			return conn, nil
		}
		if time.Since(began) > c.silence {
			c.absent()
		}
		if c.trouble != nil && time.Since(looked) > troublePause {
			looked = time.Now()
			if why, ends := c.trouble(began); ends > 0 && time.Since(began) > patience {
				if _, ends := c.trouble(began.Add(-lately)); ends >= hopeless {
					return nil, &notUpError{why}
				}
			}
		}
		if !nobodyListens(err) && ctx.Err() == nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot reach the daemon at %s: %w", c.socket, err)
		case <-late.C:
			if err := c.never(time.Since(began)); err != nil {
				return nil, err
			}
		case <-time.After(pause):
		}
	}
}

// never is the error that no daemon comes, once there is no hope of one.
func (c *Client) never(waited time.Duration) error {
	never := &neverUpError{socket: c.socket, waited: waited.Round(time.Second)}
	vain := false
	if c.keeper != nil {
		never.keeper, vain = c.keeper()
	}
	if vain || waited > mostStarts*c.slow {
		return never
	}
	return nil
}

func nobodyListens(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// newRequest makes a request below Base with our headers.
func (c *Client) newRequest(ctx context.Context, method, path string, query url.Values, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("cannot write request %s: %w", path, err)
		}
		body = bytes.NewReader(data)
	}
	target := url.URL{Scheme: "http", Host: "mycompose", Path: Base + path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("cannot make request %s: %w", path, err)
	}
	r.Header.Set(HeaderBuild, c.build)
	r.Header.Set(HeaderProtocol, strconv.Itoa(Protocol))
	return r, nil
}

// do sends a request and returns an answer below 400, whose body the caller
// closes.
func (c *Client) do(r *http.Request) (*http.Response, error) {
	fault.Point("client:request")
	var connected atomic.Bool // at the last try, if net/http makes several
	answer, err := c.http.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { connected.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})))
	fault.Point("client:answered")
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL means nothing to a user
		}
		if connected.Load() && r.Context().Err() == nil {
			err = &endedError{err}
		}
		return nil, err
	}
	c.note(answer)
	if answer.StatusCode >= http.StatusBadRequest {
		defer answer.Body.Close()
		return nil, failure(answer)
	}
	return answer, nil
}

func (c *Client) note(answer *http.Response) {
	protocol, _ := strconv.Atoi(answer.Header.Get(HeaderProtocol))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peer = Peer{answer.Header.Get(HeaderBuild), protocol, answer.Header.Get(HeaderBusy), answer.Header.Get(HeaderInstance)}
	c.greeted = c.greeted || c.peer.Build == c.build
}

// Hello asks for the daemon's headers.
func (c *Client) Hello(ctx context.Context) (Peer, error) {
	err := again(ctx, http.MethodGet, func() error { return c.ask(ctx, http.MethodGet, "/hello", nil, nil, nil) })
	return c.Peer(), err
}

// failure reads the error of an answer; errors.Is finds spec's sentinels.
func failure(answer *http.Response) error {
	var f Failure
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil || f.Error == "" {
		return fmt.Errorf("cannot read the daemon's answer: %s", answer.Status)
	}
	if f.Code == CodeProtocol {
		return &protocolError{f.Error}
	}
	return spec.FromCode(f.Code, f.Error)
}

// call sends in and decodes the answer into out; either may be nil. A request
// that never reached the daemon is repeated; so is a GET that lost it.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return again(ctx, method, func() error { return c.callOnce(ctx, method, path, query, in, out) })
}

// again repeats a GET that lost the daemon.
func again(ctx context.Context, method string, ask func() error) error {
	for attempt := 0; ; attempt++ {
		err := ask()
		if err == nil || ctx.Err() != nil || attempt == 5 || !lost(err) || method != http.MethodGet {
			return err
		}
		pause(ctx, attempt)
	}
}

// callOnce asks a daemon that was greeted. A GET changes nothing, so that it
// may be the greeting itself, if its answer comes from a daemon of our build.
func (c *Client) callOnce(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if method == http.MethodGet && !c.Greeted() {
		err := c.ask(ctx, method, path, query, in, out)
		if err != nil && (lost(err) || StaysDown(err) || ctx.Err() != nil) || c.Greeted() {
			return err
		}
	}
	if err := c.Ready(ctx); err != nil {
		return err
	}
	return c.ask(ctx, method, path, query, in, out)
}

// ask sends a request and decodes the answer.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, in, out any) error {
	r, err := c.newRequest(ctx, method, path, query, in)
	if err != nil {
		return err
	}
	answer, err := c.do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		return err
	}
	if err := json.NewDecoder(answer.Body).Decode(out); err != nil {
		return fmt.Errorf("cannot read the daemon's answer to %s: %w", path, err)
	}
	return nil
}

// endedError is that a connection ended before there was an answer. Not every cause
// that net/http gives can be told by its type.
type endedError struct{ cause error }

func (e *endedError) Error() string { return e.cause.Error() }
func (e *endedError) Unwrap() error { return e.cause }

// lost reports whether an error means that the connection ended, and not that
// the daemon said no.
func lost(err error) bool {
	var network net.Error
	if StaysDown(err) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) || errors.As(err, new(*endedError))
}

// StaysDown reports whether an error means that daemons end by themselves, or
// that none comes.
func StaysDown(err error) bool {
	return errors.As(err, new(*notUpError)) || errors.As(err, new(*neverUpError))
}

// pause waits before a further attempt, longer each time.
func pause(ctx context.Context, attempt int) {
	select {
	case <-ctx.Done():
	case <-time.After(min(time.Second, 10*time.Millisecond<<attempt)):
	}
}
