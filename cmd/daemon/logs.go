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
	stream := &logStream{server: s, request: request, out: bufio.NewWriterSize(conn, 64<<10), seen: map[string]bool{}}
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
	seen    map[string]bool // ids of containers
	next    uint16
	reading sync.WaitGroup
	buffer  []byte
}

// run begins with the chosen containers and, if the request stays, takes up
// what comes later. It ends when all is sent.
func (f *logStream) run(ctx context.Context, chosen []spec.Container) error {
	for _, c := range chosen {
		if err := f.begin(ctx, c, f.request.Since); err != nil {
			return err
		}
	}
	if err := f.out.Flush(); err != nil {
		return err
	}
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		item, state := f.merge.take(ctx, f.request.Follow)
		switch state {
		case taken:
			if err := f.send(item); err != nil {
				return err
			}
			continue
		case over:
			if !f.request.Stay {
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

// takeNew begins containers that came since.
func (f *logStream) takeNew(ctx context.Context) error {
	if !f.request.Stay {
		return nil
	}
	chosen, err := f.server.choose(ctx, f.request)
	if err != nil {
		return err
	}
	for _, c := range chosen {
		if !f.seen[c.Blueprint.ID] {
			if err := f.begin(ctx, c, c.Status.CreatedAt); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin names a source and reads it in a goroutine that postLogs waits for.
func (f *logStream) begin(ctx context.Context, c spec.Container, since time.Time) error {
	number := f.next
	f.next++
	f.seen[c.Blueprint.ID] = true
	if err := f.note(number, client.Note{Name: shownName(c), ID: c.Blueprint.ID}); err != nil {
		return err
	}
	source := f.merge.add(number)
	query := LogQuery{Since: since, Until: f.request.Until, Tail: f.request.Tail}
	alive := c.Status.Up() || c.Status.State == spec.StateCreated && f.request.Stay
	query.Follow = f.request.Follow && alive
	ended := make(chan struct{})
	query.Done = ended
	var exit *client.Note
	if f.request.Stay && c.Status.State == spec.StateExited {
		exit = &client.Note{Exited: true, ExitCode: c.Status.ExitCode} // it was quick
	}
	if query.Follow {
		f.reading.Add(1)
		go func() {
			defer f.reading.Done()
			defer close(ended)
			status, err := f.server.Containers.WaitContainer(ctx, c.Blueprint.ID, spec.UntilExited)
			if err == nil {
				exit = &client.Note{Exited: true, ExitCode: status.ExitCode}
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
		source.end(ctx, exit)
	}()
	return nil
}

// send writes one line or the end of a source.
func (f *logStream) send(i item) error {
	if i.exit != nil {
		return f.note(i.source, *i.exit)
	}
	f.buffer = client.AppendLogLine(f.buffer[:0], i.stream, 0, i.source, i.at, i.line)
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
