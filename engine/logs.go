package engine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/mycompose/mycompose/engine/logs/read"
)

// LogDir is the log folder of a container, for package logs/read; it is shared
// by all containers of its replica.
func (e *Engine) LogDir(id string) (string, error) {
	l, err := e.life(id)
	if err != nil {
		return "", err
	}
	return e.logDir(l.rec.blueprint()), nil
}

// Log gives the lines of a container's log to each, in order, until there are
// no more, each fails, or ctx ends. Data is valid during the call only.
func (e *Engine) Log(ctx context.Context, id string, options read.Options, each func(read.Line) error) error {
	dir, err := e.LogDir(id)
	if err != nil {
		return err
	}
	return readLog(ctx, dir, options, each)
}

// Features say what the machine offers, for people.
func (e *Engine) Features(context.Context) map[string]string {
	return map[string]string{"cgroup": e.cgroups.Version(), "started": e.opened.Format(time.RFC3339)}
}

// readLog reads one folder; one that is not there has no lines.
func readLog(ctx context.Context, dir string, options read.Options, each func(read.Line) error) error {
	r, err := read.Open(dir, options)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		line, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
