package client

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// Stream is an upgraded connection: what is written is stdin, what is read
// are frames (stream.go), or raw bytes if there is a terminal.
type Stream struct {
	conn   net.Conn
	reader *bufio.Reader
	stop   func() bool
	// instance is the daemon's at the other end.
	instance string
}

// CutOff reports whether a stream that has ended was cut off by the end of its
// daemon, and not ended by its process. It waits for the next daemon.
func (c *Client) CutOff(ctx context.Context, s *Stream) (bool, error) {
	peer, err := c.Hello(ctx)
	return err == nil && peer.Instance != s.instance, err
}

// Read reads what the other side sent.
func (s *Stream) Read(p []byte) (int, error) { return s.reader.Read(p) }

// Write sends stdin.
func (s *Stream) Write(p []byte) (int, error) { return s.conn.Write(p) }

// CloseWrite ends stdin.
func (s *Stream) CloseWrite() error {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.stop()
	return s.conn.Close()
}

// upgrade sends a request and takes the connection over. The stream ends with
// ctx.
func (c *Client) upgrade(ctx context.Context, path string, query url.Values, in any) (*Stream, error) {
	if err := c.Ready(ctx); err != nil {
		return nil, err
	}
	r, err := c.newRequest(ctx, http.MethodPost, path, query, in)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "tcp")
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	stream := &Stream{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10), stop: stop}
	answer, err := stream.handshake(r)
	if err == nil {
		c.note(answer)
		if answer.StatusCode == http.StatusSwitchingProtocols {
			stream.instance = answer.Header.Get(HeaderInstance)
			return stream, nil
		}
		defer answer.Body.Close()
		err = failure(answer)
	}
	stream.Close()
	return nil, err
}

func (s *Stream) handshake(r *http.Request) (*http.Response, error) {
	if err := r.Write(s.conn); err != nil {
		return nil, fmt.Errorf("cannot ask the daemon: %w", err)
	}
	answer, err := http.ReadResponse(s.reader, r)
	if err != nil {
		return nil, fmt.Errorf("cannot read the daemon's answer: %w", err)
	}
	return answer, nil
}

// LogRequest asks for logs.
type LogRequest struct {
	Project string
	// Services selects by service name, Containers by id; empty is all.
	Services   []string
	Containers []string
	// Index selects a replica by its number; 0 is all.
	Index int
	// OneOff also takes containers of `run`.
	OneOff bool
	Follow bool
	// Stay follows also containers that come or are started later, and goes on
	// while some of them may: for an attached up. Without it a follow ends with
	// the last container. Of the containers in Told, only runs are followed
	// and ends told that ended later than it says.
	Stay bool
	// Join follows also containers that come or are started later, and ends
	// when nothing runs and no operation is at work on the project.
	Join bool
	// Blocks allows lines of one time in one frame, with newlines between.
	Blocks bool
	Told   map[string]time.Time
	// Tail is the number of last lines of each container; -1 is all.
	Tail         int
	Since, Until time.Time
}

func (l LogRequest) query() url.Values {
	q := url.Values{"project": {l.Project}, "service": l.Services, "container": l.Containers}
	q.Set("tail", strconv.Itoa(l.Tail))
	q.Set("index", strconv.Itoa(l.Index))
	for name, set := range map[string]bool{"follow": l.Follow, "stay": l.Stay, "join": l.Join, "blocks": l.Blocks, "oneoff": l.OneOff} {
		if set {
			q.Set(name, "1")
		}
	}
	for name, at := range map[string]time.Time{"since": l.Since, "until": l.Until} {
		if !at.IsZero() {
			q.Set(name, strconv.FormatInt(at.UnixNano(), 10))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.Told)) {
		q.Add("told", id+"@"+strconv.FormatInt(l.Told[id].UnixNano(), 10))
	}
	return q
}

// ParseLogRequest is the daemon's half of LogRequest.
func ParseLogRequest(q url.Values) (LogRequest, error) {
	l := LogRequest{
		Project: q.Get("project"), Services: q["service"], Containers: q["container"],
		Follow: q.Get("follow") != "", Stay: q.Get("stay") != "", Join: q.Get("join") != "", Blocks: q.Get("blocks") != "", OneOff: q.Get("oneoff") != "",
	}
	var err error
	number := func(name string, missing int64) int64 {
		text := q.Get(name)
		if text == "" {
			return missing
		}
		n, wrong := strconv.ParseInt(text, 10, 64)
		if wrong != nil && err == nil {
			err = spec.Errorf(spec.ErrInvalid, "cannot read logs: %s is no number: %q", name, text)
		}
		return n
	}
	l.Tail = int(number("tail", -1))
	l.Index = int(number("index", 0))
	if since := number("since", 0); since != 0 {
		l.Since = time.Unix(0, since)
	}
	if until := number("until", 0); until != 0 {
		l.Until = time.Unix(0, until)
	}
	for _, text := range q["told"] {
		id, at, _ := strings.Cut(text, "@")
		n, wrong := strconv.ParseInt(at, 10, 64)
		if wrong != nil && err == nil {
			err = spec.Errorf(spec.ErrInvalid, "cannot read logs: told is not ID@TIME: %q", text)
		}
		if l.Told == nil {
			l.Told = map[string]time.Time{}
		}
		l.Told[id] = time.Unix(0, n)
	}
	return l, err
}

// Logs opens a stream of log frames, merged by time.
func (c *Client) Logs(ctx context.Context, request LogRequest) (*Stream, error) {
	return c.upgrade(ctx, "/logs", request.query(), nil)
}

// Exec starts a process in a container and opens its stream. The id is the
// caller's (NewID), so that AttachExec can come back to it; the same id again
// is the same process, so one whose answer was lost is asked for again.
func (c *Client) Exec(ctx context.Context, request spec.Exec) (*Stream, error) {
	for attempt := 0; ; attempt++ {
		stream, err := c.upgrade(ctx, "/exec", nil, request)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return stream, err
		}
		pause(ctx, attempt%8)
	}
}

// StartExec starts a process in a container and leaves it alone. Like Exec it
// may be asked for again.
func (c *Client) StartExec(ctx context.Context, request spec.Exec) error {
	for attempt := 0; ; attempt++ {
		err := c.callOnce(ctx, http.MethodPost, "/exec", url.Values{"detach": {"1"}}, request, nil)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return err
		}
		pause(ctx, attempt%8)
	}
}

// AttachExec comes back to an exec whose stream was lost behind so many bytes.
func (c *Client) AttachExec(ctx context.Context, container, id string, from int64) (*Stream, error) {
	query := url.Values{"container": {container}, "from": {strconv.FormatInt(from, 10)}}
	return c.upgradeAgain(ctx, "/exec/"+id+"/attach", query)
}

// upgradeAgain is upgrade for what may be asked for again: a daemon that is just
// ending takes connections that it answers no more.
func (c *Client) upgradeAgain(ctx context.Context, path string, query url.Values) (*Stream, error) {
	for attempt := 0; ; attempt++ {
		stream, err := c.upgrade(ctx, path, query, nil)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return stream, err
		}
		pause(ctx, attempt%8)
	}
}

// WaitExec waits for the end of an exec. It survives a restart of the daemon.
func (c *Client) WaitExec(ctx context.Context, container, id string) (spec.ExecResult, error) {
	var out spec.ExecResult
	query := url.Values{"container": {container}}
	for attempt := 0; ; attempt++ {
		err := c.callOnce(ctx, http.MethodGet, "/exec/"+id+"/wait", query, nil, &out)
		if err == nil || ctx.Err() != nil || attempt == attempts || !lost(err) {
			return out, err
		}
		pause(ctx, attempt%8)
	}
}

// ResizeExec sets the size of an exec's terminal.
func (c *Client) ResizeExec(ctx context.Context, container, id string, size Resize) error {
	return c.call(ctx, http.MethodPost, "/exec/"+id+"/resize", url.Values{"container": {container}}, size, nil)
}

// SignalExec sends a signal to an exec's process.
func (c *Client) SignalExec(ctx context.Context, container, id, signal string) error {
	return c.call(ctx, http.MethodPost, "/exec/"+id+"/signal", url.Values{"container": {container}}, Signal{signal}, nil)
}

// Attach opens the stream of a container's first process, as one of many: what
// it lags behind by more than some MiB is lost.
func (c *Client) Attach(ctx context.Context, id string, stdin bool) (*Stream, error) {
	return c.attach(ctx, id, stdin, url.Values{})
}

// AttachFirst opens the stream for the one that starts the container: it begins
// with the first byte behind the so many that have arrived already, and the
// container waits for its reader.
func (c *Client) AttachFirst(ctx context.Context, id string, stdin bool, from int64) (*Stream, error) {
	return c.attach(ctx, id, stdin, url.Values{"from": {strconv.FormatInt(from, 10)}})
}

func (c *Client) attach(ctx context.Context, id string, stdin bool, query url.Values) (*Stream, error) {
	if stdin {
		query.Set("stdin", "1")
	}
	return c.upgradeAgain(ctx, "/containers/"+id+"/attach", query)
}

// Lost reports whether an error means that the connection to the daemon ended,
// so that coming back may help.
func Lost(err error) bool { return lost(err) }
