package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

func TestBuildStepsAreNumberedAndNothingIsSaidTwice(t *testing.T) {
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	s, out, _ := screen(ModePlain, nil)
	p := s.Progress(ProgressOptions{Title: "build"})
	for _, e := range []event.Event{
		{ID: "sha256:a", Status: event.Working, Text: "[internal] load build definition", Time: at(0)},
		{ID: "[internal] load build definition", Status: event.Working, Text: "transferring dockerfile:", Time: at(1), Current: 1},
		{ID: "[internal] load build definition", Status: event.Working, Text: "transferring dockerfile:", Time: at(2), Current: 75},
		{ID: "sha256:a", Status: event.Done, Text: "[internal] load build definition", Details: "DONE", Time: at(3)},
		{ID: "sha256:a", Status: event.Working, Text: "[internal] load build definition", Time: at(3)},
		{ID: "sha256:a", Status: event.Done, Text: "[internal] load build definition", Details: "DONE", Time: at(4)},
		{ID: "sha256:b", Status: event.Done, Text: "[1/3] FROM x", Details: "CACHED", Time: at(5)},
		{ID: "sha256:c", Status: event.Working, Text: "[2/3] RUN echo hello", Time: at(10)},
		{ID: "sha256:c", Status: event.Working, Text: "hello", Time: at(200)},
		{ID: "sha256:c", Status: event.Done, Text: "[2/3] RUN echo hello", Details: "DONE", Time: at(250)},
		{ID: "sha256:d", Status: event.Working, Text: "[3/3] RUN false", Time: at(300)},
		{ID: "sha256:d", Status: event.Working, Text: "oh no", Time: at(310)},
		{ID: "sha256:d", Status: event.Error, Text: "exit code: 1", Details: "ERROR", Time: at(400)},
	} {
		e.Kind = event.KindOutput
		p.Show(e)
	}
	want := `#1 [internal] load build definition
#1 transferring dockerfile:
#1 DONE 0.0s
#2 [1/3] FROM x
#2 CACHED
#3 [2/3] RUN echo hello
#3 0.190 hello
#3 DONE 0.2s
#4 [3/3] RUN false
#4 0.010 oh no
#4 ERROR: exit code: 1
------
 > [3/3] RUN false:
oh no
------
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
	if strings.Count(out.String(), "transferring") != 1 {
		t.Error("bytes are told again and again")
	}
}
