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

// showLogs shows a log stream to its end; ended hears of containers that have
// ended, once for each end that is not in q.Told. A follow that loses the daemon comes back and goes
// on behind the last line.
func (s *session) showLogs(ctx context.Context, c *client.Client, q client.LogRequest, show *ui.Logs, ended func(end)) error {
	if q.Told = maps.Clone(q.Told); q.Told == nil {
		q.Told = map[string]time.Time{}
	}
	for {
		last, err := s.showOnce(ctx, c, q, show, func(e end) {
			q.Told[e.id] = e.at
			ended(e)
		})
		if flushErr := show.Flush(); flushErr != nil {
			return flushErr
		}
		if err == nil || !q.Follow || !client.Lost(err) || ctx.Err() != nil {
			return err
		}
		if !last.IsZero() {
			q.Since, q.Tail = last.Add(1), -1
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *session) showOnce(ctx context.Context, c *client.Client, q client.LogRequest, show *ui.Logs, ended func(end)) (last time.Time, err error) {
	stream, err := c.Logs(ctx, q)
	if err != nil {
		return last, err
	}
	defer stream.Close()
	ids := map[uint16]string{}
	for frames := client.NewFrameReader(stream); ; {
		f, err := frames.Read()
		if errors.Is(err, io.EOF) {
			return last, io.ErrUnexpectedEOF // without the note: the daemon ended
		}
		if err != nil {
			return last, err
		}
		if f.Stream != client.Noted {
			at, line, err := f.LogLine()
			if err != nil {
				return last, err
			}
			last = at
			if err := show.Line(f.Source, at, line, f.Flags&client.FlagCut != 0); err != nil {
				return last, err
			}
			continue
		}
		note, err := f.Note()
		if err != nil {
			return last, err
		}
		if note.Over {
			return last, nil
		}
		if note.Name != "" {
			ids[f.Source] = note.ID
			show.Name(f.Source, note.Name)
		}
		if note.Lost > 0 {
			err = show.Lost(f.Source, note.Lost)
		}
		if note.Exited {
			err = errors.Join(err, show.Exited(f.Source, note.ExitCode))
			ended(end{ids[f.Source], note.At})
		}
		if err != nil {
			return last, err
		}
	}
}
