package daemon

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/spec"
)

// lookAgain is how often a follow that stays looks for new containers.
const lookAgain = 100 * time.Millisecond

// postLogs sends the logs of several containers, merged by time.
func (s *server) postLogs(w http.ResponseWriter, r *http.Request) error {
	request, err := client.ParseLogRequest(r.URL.Query())
	if err != nil {
		return err
	}
	chosen, err := s.choose(r.Context(), request)
	if err != nil {
		return err
	}
	conn, _, err := s.upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.hijacked.Done()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	// A client that goes away is noticed by a read that ends.
	var watch sync.WaitGroup
	watch.Add(1)
	go func() {
		defer watch.Done()
		defer cancel()
		_, _ = conn.Read(make([]byte, 1))
	}()
	stream := &logStream{server: s, request: request, out: bufio.NewWriterSize(conn, 64<<10), seen: map[string]*followed{}, last: map[string]time.Time{}}
	stream.merge.wake = make(chan struct{}, 1)
	err = stream.run(ctx, chosen)
	cancel()
	conn.Close()
	watch.Wait()
	stream.reading.Wait()
	if err != nil && ctx.Err() == nil {
		s.log.Debug("log stream ended", "project", request.Project, "err", err)
	}
	return errAnswered
}

// choose returns the containers of a request, by replica name.
func (s *server) choose(ctx context.Context, q client.LogRequest) ([]spec.Container, error) {
	all, err := s.Containers.Containers(ctx, q.Project)
	if err != nil {
		return nil, err
	}
	var out []spec.Container
	for _, c := range all {
		labels := c.Blueprint.Labels
		switch {
		case len(q.Containers) > 0 && !slices.Contains(q.Containers, c.Blueprint.ID):
		case len(q.Services) > 0 && !slices.Contains(q.Services, labels[labelService]):
		case q.Index > 0 && labels[labelNumber] != strconv.Itoa(q.Index):
		case isOneOff(labels) && !q.OneOff && len(q.Containers) == 0:
		default:
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b spec.Container) int { return cmp.Compare(shownName(a), shownName(b)) })
	return out, nil
}

func isOneOff(labels map[string]string) bool { return strings.EqualFold(labels[labelOneOff], "true") }

// shownName is what leads a line: the name without the project, or a
// container_name as it is.
func shownName(c spec.Container) string {
	return strings.TrimPrefix(c.Blueprint.Name, c.Blueprint.Project+"-")
}

// logStream is one log stream on its way to a client.
type logStream struct {
	server  *server
	request client.LogRequest
	out     *bufio.Writer
	merge   merge
	seen    map[string]*followed // by id of the container
	sources []*followed          // by number
	reading sync.WaitGroup
	buffer  []byte
	begun   bool // those that were there at the begin are known
	// last is the time of the last line sent, by name: a log is the replica's,
	// and who reads a run to its end may come upon lines of the next one.
	last map[string]time.Time
}

// followed is a container of a stream. One that is started again is read again:
//
//	(not started) ──starts──▶ open ──ends──▶ told ──starts again──▶ open …
type followed struct {
	number uint16 // of its source, for good
	name   string
	open   bool
	// running is when the newest run began that is known of.
	running time.Time
	// started is when the last run began whose end was told, ended when it
	// ended.
	started, ended time.Time
}

// run begins with the chosen containers and, if the request stays, takes up
// what starts later. It ends when all is sent.
func (f *logStream) run(ctx context.Context, chosen []spec.Container) error {
	for _, c := range chosen {
		if err := f.consider(ctx, c); err != nil {
			return err
		}
	}
	f.begun = true
	if err := f.out.Flush(); err != nil {
		return err
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		item, state := f.merge.take(ctx, f.request.Follow)
		switch state {
		case taken:
			fault.Point("logs:send")
			if err := f.send(item); err != nil {
				return err
			}
			continue
		case over:
			ended, err := f.ended(ctx)
			if err != nil {
				return err
			}
			if ended {
				if err := f.note(0, client.Note{Over: true}); err != nil {
					return err
				}
				return f.out.Flush()
			}
		}
		// Nothing to send now.
		if err := f.out.Flush(); err != nil {
			return err
		}
		select {
		case <-f.merge.wake:
		case <-look.C:
			if err := f.takeNew(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// ended reports whether nothing comes any more, when all that was begun has been
// sent. An operation is at work from before it stops a container until after it
// has started it, or another in its place.
func (f *logStream) ended(ctx context.Context) (bool, error) {
	if f.request.Stay || !f.request.Join {
		return !f.request.Stay, nil
	}
	if f.server.operations.worksOn(f.request.Project) {
		return false, nil
	}
	if err := f.takeNew(ctx); err != nil {
		return false, err
	}
	for _, known := range f.sources {
		if known.open {
			return false, nil
		}
	}
	return true, nil
}

// takeNew begins containers that came or were started since.
func (f *logStream) takeNew(ctx context.Context) error {
	if !f.request.Stay && !f.request.Join {
		return nil
	}
	chosen, err := f.server.choose(ctx, f.request)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		if err := f.consider(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// consider begins a container unless it is read already. Where the stream
// stays, one that was not started yet is only named and comes later, and an end
// that the client knows is not told.
func (f *logStream) consider(ctx context.Context, c spec.Container) error {
	status, known := c.Status, f.seen[c.Blueprint.ID]
	if known == nil {
		name := shownName(c)
		if slices.ContainsFunc(f.sources, func(o *followed) bool { return o.open && o.name == name }) {
			return nil // it took that one's place, which is read to its end first
		}
		known = &followed{number: uint16(len(f.sources)), name: name}
		recreated := slices.ContainsFunc(f.sources, func(o *followed) bool { return o.name == known.name })
		f.seen[c.Blueprint.ID] = known
		f.sources = append(f.sources, known)
		if err := f.note(known.number, client.Note{Name: known.name, ID: c.Blueprint.ID, Recreated: recreated && f.request.Stay}); err != nil {
			return err
		}
		told, isTold := f.request.Told[c.Blueprint.ID]
		isTold = isTold && !status.Up() && !status.ExitedAt.After(told)
		if !f.request.Stay && !f.begun && !isTold {
			f.begin(ctx, c, known, f.request.Since)
			return nil
		}
		if isTold {
			known.started = status.StartedAt
		}
		// The log is the replica's: what is older is not this container's.
		known.ended = later(f.request.Since, status.CreatedAt)
	}
	if err := f.mark(c, known); err != nil {
		return err
	}
	// Another run than that: by its time alone it may seem older.
	if !known.open && !status.StartedAt.IsZero() && !status.StartedAt.Equal(known.started) {
		since := known.ended
		if last, ok := f.last[known.name]; ok {
			since = later(since, last.Add(1))
		}
		f.begin(ctx, c, known, since)
	}
	return nil
}

// mark tells of a container that runs again, by its policy or by a command.
func (f *logStream) mark(c spec.Container, known *followed) error {
	before, now := known.running, c.Status.StartedAt
	if c.Status.Up() && !now.IsZero() {
		known.running = now
	}
	if before.IsZero() || known.running.Equal(before) {
		return nil
	}
	note := client.Note{Restarted: true, At: now}
	if c.Status.Previous != nil {
		note.ExitCode = c.Status.Previous.ExitCode
	}
	return f.note(known.number, note)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// begin reads a container in goroutines that postLogs waits for.
func (f *logStream) begin(ctx context.Context, c spec.Container, known *followed, since time.Time) {
	known.open = true
	source := f.merge.add(known.number)
	query := LogQuery{Since: since, Until: f.request.Until, Tail: f.request.Tail, Blocks: f.request.Blocks}
	query.Follow = f.request.Follow && c.Status.Up()
	ended := make(chan struct{})
	query.Done = ended
	var end *spec.Status
	if f.request.Stay && c.Status.State == spec.StateExited {
		end = &c.Status // it was quick
	}
	past := f.request.Join && !f.begun && !query.Follow
	if past {
		end = &c.Status
	}
	if query.Follow {
		f.reading.Add(1)
		go func() {
			defer f.reading.Done()
			defer close(ended)
			status, err := f.server.Containers.WaitContainer(ctx, c.Blueprint.ID, spec.UntilExited)
			if err == nil {
				end = &status
			}
		}()
	}
	f.reading.Add(1)
	go func() {
		defer f.reading.Done()
		err := f.server.Logs.ReadLog(ctx, c.Blueprint.ID, query, func(l LogLine) error {
			return source.push(ctx, l)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, spec.ErrNotFound) {
			f.server.log.Error("cannot read log", "container", c.Blueprint.ID, "err", err)
		}
		if query.Follow {
			select {
			case <-ended:
			case <-ctx.Done():
				return
			}
		}
		source.end(ctx, end, past)
	}()
}

// send writes an item.
func (f *logStream) send(i item) error {
	if i.last {
		known := f.sources[i.source]
		known.open = false
		if i.end == nil { // it was not followed, or it is gone
			return nil
		}
		known.started, known.ended = i.end.StartedAt, later(i.end.ExitedAt, i.end.CreatedAt)
		if i.past {
			return nil
		}
		return f.note(i.source, client.Note{Exited: true, ExitCode: i.end.ExitCode, At: i.end.ExitedAt})
	}
	name := f.sources[i.source].name
	f.last[name] = later(f.last[name], i.at)
	flags := byte(0)
	if i.cut {
		flags = client.FlagCut
	}
	f.buffer = client.AppendLogLine(f.buffer[:0], i.stream, flags, i.source, i.at, i.line)
	_, err := f.out.Write(f.buffer)
	return err
}

func (f *logStream) note(source uint16, n client.Note) error {
	data, err := marshalNote(n)
	if err != nil {
		return err
	}
	f.buffer = client.AppendFrame(f.buffer[:0], client.Noted, 0, source, data)
	_, err = f.out.Write(f.buffer)
	return err
}
