package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"

	"github.com/mycompose/mycompose/engine/image"
)

func TestProgressTellsStartAndEndOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	start, end := &now, &now
	for _, test := range []struct {
		name string
		in   []client.Vertex
		want string
	}{
		{"a step that runs", []client.Vertex{{}, {Started: start}, {Started: start}, {Started: start, Completed: end}}, "started done"},
		{"a cached step", []client.Vertex{{}, {Cached: true}, {Started: start, Completed: end, Cached: true}}, "cached"},
		{"two rounds", []client.Vertex{{Started: start, Completed: end}, {Started: start}, {Started: start, Completed: end}}, "done"},
		{"an error in the second round", []client.Vertex{{Started: start, Completed: end}, {Started: start}, {Started: start, Completed: end, Error: "x"}}, "done error"},
		{"nothing after an error", []client.Vertex{{Started: start, Completed: end, Error: "x"}, {Started: start, Completed: end}}, "error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var told []string
			p := newProgress(&job{emit: func(e image.Event) { told = append(told, string(e.Status)) }})
			for i := range test.in {
				p.vertex(&test.in[i])
			}
			if got := strings.Join(told, " "); got != test.want {
				t.Errorf("told %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnErrorHasTheLastLines(t *testing.T) {
	p := newProgress(nil)
	now := time.Unix(1000, 0)
	p.vertex(&client.Vertex{Digest: "a", Name: "[1/2] RUN make", Started: &now})
	for i := range 40 {
		p.at("a").keep(fmt.Appendf(nil, "line %d\r\nhalf ", i))
	}
	p.vertex(&client.Vertex{Digest: "b", Name: "other", Started: &now, Completed: &now, Error: "context canceled"})
	p.vertex(&client.Vertex{Digest: "a", Name: "[1/2] RUN make", Started: &now, Completed: &now, Error: "exit code: 2"})
	err := p.explain(errors.New("failed to solve: exit code: 2"))
	text := err.Error()
	if !strings.HasPrefix(text, "cannot build: [1/2] RUN make: exit code: 2\n") || code(err) != image.CodeStep {
		t.Errorf("error %q (%s)", text, code(err))
	}
	if n := strings.Count(text, "\n  > "); n != lastLines || !strings.HasSuffix(text, "\n  > half line 39\n  > half ") {
		t.Errorf("the error has %d lines of output: %q", n, text)
	}
	got := p.explain(errors.New(`failed to solve: failed to compute cache key: failed to calculate checksum of ref abc::def: "/src/x": not found`))
	if want := `cannot build: [1/2] RUN make: "src/x" is not there to be copied; check the path, the build context and .dockerignore`; !strings.HasPrefix(got.Error(), want) {
		t.Errorf("a missing source gives %v", got)
	}
	if got := p.explain(fmt.Errorf("x: %w", context.Canceled)); code(got) != image.CodeCanceled {
		t.Errorf("a cancel gives %v (%s)", got, code(got))
	}
}
