package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client"
	solvererrdefs "github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"

	"github.com/mycompose/mycompose/engine/image"
)

// lastLines is how much of a failed step's output its error repeats.
const lastLines = 12

// progress turns BuildKit's status into events and remembers what an error
// message needs.
type progress struct {
	job      *job
	vertexes map[digest.Digest]*vertex
	failed   []*vertex // in order
}

type vertex struct {
	name  string
	state image.Status
	err   string
	tail  [][]byte // last lines of output
	rest  []byte   // a line without its end
}

func newProgress(j *job) *progress {
	return &progress{job: j, vertexes: map[digest.Digest]*vertex{}}
}

// follow works until the channel is closed.
func (p *progress) follow(status <-chan *client.SolveStatus) {
	for s := range status {
		for _, v := range s.Vertexes {
			p.vertex(v)
		}
		for _, st := range s.Statuses {
			p.job.event(image.Event{
				Vertex: string(st.Vertex), Status: image.StatusProgress, Action: st.ID,
				Current: st.Current, Total: st.Total, Time: st.Timestamp,
			})
		}
		for _, l := range s.Logs {
			p.at(l.Vertex).keep(l.Data)
			p.job.event(image.Event{
				Vertex: string(l.Vertex), Status: image.StatusProgress, Log: l.Data, Stream: l.Stream, Time: l.Timestamp,
			})
		}
	}
}

func (p *progress) at(d digest.Digest) *vertex {
	v := p.vertexes[d]
	if v == nil {
		v = &vertex{}
		p.vertexes[d] = v
	}
	return v
}

// vertex tells the start of a vertex and its end once each. BuildKit runs some
// in several rounds (resolve, then unpack); only an error is still news then.
func (p *progress) vertex(in *client.Vertex) {
	v := p.at(in.Digest)
	v.name = in.Name
	e := image.Event{Vertex: string(in.Digest), Name: in.Name}
	switch {
	case in.Started == nil && !in.Cached:
		return
	case in.Completed == nil && !in.Cached:
		e.Status, e.Time = image.StatusStarted, *in.Started
	case in.Error != "":
		e.Status, e.Error = image.StatusError, in.Error
	case in.Cached:
		e.Status = image.StatusCached
	default:
		e.Status = image.StatusDone
	}
	if in.Completed != nil {
		e.Time = *in.Completed
	}
	if !v.news(e.Status) {
		return
	}
	v.state = e.Status
	if e.Status == image.StatusError {
		v.err = in.Error
		p.failed = append(p.failed, v)
	}
	p.job.event(e)
}

// news says whether the status is to be told.
func (v *vertex) news(s image.Status) bool {
	switch v.state {
	case "":
		return true
	case image.StatusStarted:
		return s != image.StatusStarted
	case image.StatusError:
		return false
	}
	return s == image.StatusError
}

// keep remembers the last lines.
func (v *vertex) keep(data []byte) {
	data = append(v.rest, data...)
	lines := bytes.Split(data, []byte("\n"))
	v.rest = bytes.Clone(lines[len(lines)-1])
	if len(v.rest) > 4096 {
		v.rest = v.rest[:4096]
	}
	for _, line := range lines[:len(lines)-1] {
		v.tail = append(v.tail, bytes.Clone(bytes.TrimRight(line, "\r")))
	}
	if n := len(v.tail); n > lastLines {
		v.tail = v.tail[n-lastLines:]
	}
}

// explain makes the error that a person reads: place in the Dockerfile, step,
// exit code, last lines of output.
func (p *progress) explain(err error) error {
	var already *coded
	if errors.As(err, &already) {
		return fmt.Errorf("cannot build: %w", err)
	}
	if errors.Is(err, context.Canceled) {
		return withCode(image.CodeCanceled, fmt.Errorf("cannot build: %w", context.Canceled))
	}
	step := p.failedStep()
	text := "cannot build: " + position(err)
	if step == nil {
		if errdefs.IsNotFound(err) {
			return withCode(image.CodeNotFound, fmt.Errorf("%s%w", text, err))
		}
		return withCode(fullOr(err, image.CodeBuild), fmt.Errorf("%s%w", text, err))
	}
	text += step.name + ": " + plainly(strings.TrimPrefix(err.Error(), "failed to solve: "))
	if len(step.rest) > 0 {
		step.keep([]byte("\n"))
	}
	for _, line := range step.tail {
		text += "\n  > " + string(line)
	}
	return withCode(fullOr(err, image.CodeStep), &stepError{text, err})
}

// fullOr is a code, unless a full disk is the reason.
func fullOr(err error, code string) string {
	if isFull(err) {
		return image.CodeFull
	}
	return code
}

// noSource is BuildKit's word for a file to be copied that is not there; the
// reference in it is another one each time.
var noSource = regexp.MustCompile(`^failed to compute cache key: failed to calculate checksum of ref \S+ "/([^"]*)": not found$`)

// plainly is an error of a step as a person would say it.
func plainly(text string) string {
	return noSource.ReplaceAllString(text, `"$1" is not there to be copied; check the path, the build context and .dockerignore`)
}

// stepError is an error with a text of its own.
type stepError struct {
	text string
	err  error
}

func (e *stepError) Error() string { return e.text }
func (e *stepError) Unwrap() error { return e.err }

// failedStep is the first vertex that failed by itself, not because another
// one was cancelled.
func (p *progress) failedStep() *vertex {
	for _, v := range p.failed {
		if !strings.Contains(v.err, context.Canceled.Error()) {
			return v
		}
	}
	return nil
}

// position is "Dockerfile:3: " where the error has a place there.
func position(err error) string {
	for _, s := range solvererrdefs.Sources(err) {
		if s.Info == nil || len(s.Ranges) == 0 || s.Ranges[0].Start == nil {
			continue
		}
		return fmt.Sprintf("%s:%d: ", s.Info.Filename, s.Ranges[0].Start.Line)
	}
	return ""
}
