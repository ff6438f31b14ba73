package cli

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

// end is the end of a container's run.
type end struct {
	id string
	at time.Time
}

// position is how far a stream of a replica has been shown: count of its lines
// that have the time at. All lines of one read have the same.
type position struct {
	at    time.Time
	count int
}

// positions are those of all streams, by replica and stream.
type positions struct {
	begun time.Time
	shown map[string]map[byte]position
	// left are the lines that come again after a reconnect.
	left map[string]map[byte]position
}

// again prepares for a reconnect; since is when the next stream shall begin.
func (p *positions) again(q client.LogRequest) (since time.Time) {
	p.left = map[string]map[byte]position{}
	none := true
	for name, streams := range p.shown {
		p.left[name] = maps.Clone(streams)
		first := q.Since
		if q.Tail >= 0 && first.Before(p.begun) {
			first = p.begun
		}
		for _, s := range streams {
			// Two streams are read side by side: one may be a little behind.
			if at := s.at.Add(-time.Second); at.After(first) {
				first = at
			}
		}
		if none || first.Before(since) {
			since = first
		}
		none = false
	}
	return since
}

// isNew takes in a line, and reports whether it has not been shown yet.
func (p *positions) isNew(name string, stream byte, at time.Time) bool {
	left, again := p.left[name][stream]
	switch {
	case again && at.Before(left.at):
		return false
	case again && at.Equal(left.at) && left.count > 0:
		left.count--
		p.left[name][stream] = left
		return false
	case again: // all behind it is new, even if the clock was set back
		delete(p.left[name], stream)
	}
	last := p.shown[name][stream]
	if !at.Equal(last.at) {
		last = position{at: at}
	}
	last.count++
	p.shown[name][stream] = last
	return true
}

// name notes a replica, also one that says nothing.
func (p *positions) name(name string) {
	if p.shown[name] == nil {
		p.shown[name] = map[byte]position{}
	}
}

// showLogs shows a log stream to its end; ended hears of containers that have
// ended, once for each end that is not in q.Told. A follow that loses the daemon comes back and goes
// on behind the last line.
func (s *session) showLogs(ctx context.Context, c *client.Client, q client.LogRequest, show *ui.Logs, ended func(end)) error {
	q.Blocks = true
	if q.Told = maps.Clone(q.Told); q.Told == nil {
		q.Told = map[string]time.Time{}
	}
	seen := &positions{begun: time.Now(), shown: map[string]map[byte]position{}}
	for first := q; ; {
		err := s.showOnce(ctx, c, q, show, seen, func(e end) {
			q.Told[e.id] = e.at
			ended(e)
		})
		if flushErr := show.Flush(); flushErr != nil {
			return flushErr
		}
		if err == nil || !q.Follow || !client.Lost(err) || ctx.Err() != nil {
			return err
		}
		if len(seen.shown) > 0 {
			q.Since, q.Tail = seen.again(first), -1
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *session) showOnce(ctx context.Context, c *client.Client, q client.LogRequest, show *ui.Logs, seen *positions, ended func(end)) error {
	stream, err := c.Logs(ctx, q)
	if err != nil {
		return err
	}
	defer stream.Close()
	ids, names := map[uint16]string{}, map[uint16]string{}
	for frames := client.NewFrameReader(stream); ; {
		f, err := frames.Read()
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF // without the note: the daemon ended
		}
		if err != nil {
			return err
		}
		if f.Stream != client.Noted {
			at, line, err := f.LogLine()
			if err != nil {
				return err
			}
			if !seen.isNew(names[f.Source], f.Stream, at) {
				continue
			}
			if err := show.Line(f.Source, at, line, f.Flags&client.FlagCut != 0); err != nil {
				return err
			}
			continue
		}
		note, err := f.Note()
		if err != nil {
			return err
		}
		if note.Over {
			return nil
		}
		if note.Name != "" {
			ids[f.Source], names[f.Source] = note.ID, note.Name
			seen.name(note.Name)
			show.Name(f.Source, note.Name)
		}
		if note.Restarted || note.Recreated {
			err = show.Again(f.Source, note.Recreated, note.ExitCode)
		}
		if note.Lost > 0 {
			err = errors.Join(err, show.Lost(f.Source, note.Lost))
		}
		if note.Exited {
			err = errors.Join(err, show.Exited(f.Source, note.ExitCode))
			ended(end{ids[f.Source], note.At})
		}
		if err != nil {
			return err
		}
	}
}
