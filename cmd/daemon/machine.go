package daemon

import (
	"context"
	"slices"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine"
	"github.com/mycompose/mycompose/engine/logs"
	"github.com/mycompose/mycompose/engine/logs/read"
	"github.com/mycompose/mycompose/engine/spec"
)

// machineOf is the engine where the socket asks for something a little
// different.
type machineOf struct{ *engine.Engine }

// Attach implements Processes. A container that is not up is made ready, so
// that a client attaches before it starts it.
func (m machineOf) Attach(ctx context.Context, container, exec string, stdin bool, from *int64) (Stream, error) {
	if exec == "" {
		if err := m.Engine.Ready(container); err != nil {
			return nil, err
		}
	}
	conn, err := m.Engine.Attach(ctx, container, exec, stdin, from)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Images implements Things: sorted by their first name.
func (m machineOf) Images(ctx context.Context) ([]spec.Image, error) {
	images, err := m.Engine.Images(ctx)
	slices.SortStableFunc(images, func(a, b spec.Image) int { return slices.Compare(a.Names, b.Names) })
	return images, err
}

// ReadLog implements Logs.
func (m machineOf) ReadLog(ctx context.Context, container string, q LogQuery, each func(LogLine) error) error {
	o := read.Options{Since: q.Since, Until: q.Until, Tail: q.Tail, Follow: q.Follow, Done: q.Done, Blocks: q.Blocks}
	switch q.Tail {
	case -1:
		o.Tail = read.All
	case 0:
		o.Tail = read.None
	}
	return m.Engine.Log(ctx, container, o, func(l read.Line) error {
		stream := client.Stdout
		if l.Stream == logs.Stderr {
			stream = client.Stderr
		}
		return each(LogLine{Time: l.Time, Stream: stream, Data: l.Data, Cut: l.Cut})
	})
}
