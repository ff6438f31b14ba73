package ui

import (
	"fmt"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

// BuildLog turns what builds tell into lines like BuildKit's plain ones:
//
//	#8 [2/3] RUN echo hello
//	#8 0.190 hello
//	#8 DONE 0.2s          or CACHED, or ERROR: and an excerpt
//
// The first event of an id names the step; what comes twice is said once.
type BuildLog struct {
	steps  map[string]*buildStep // by id
	byName map[string]*buildStep
}

type buildStep struct {
	number int
	name   string
	begun  time.Time
	ended  bool
	said   map[string]bool // actions inside the step
	last   []string        // of its output
}

// excerpt is the number of lines shown of a step that failed.
const excerpt = 10

// NewBuildLog is that of one build, or of several at once.
func NewBuildLog() *BuildLog {
	return &BuildLog{steps: map[string]*buildStep{}, byName: map[string]*buildStep{}}
}

// Lines are those that an event is worth.
func (b *BuildLog) Lines(e event.Event) []string {
	if step, ok := b.byName[e.ID]; ok { // bytes of an action inside a step
		if step.said[e.Text] || e.Text == "" {
			return nil
		}
		step.said[e.Text] = true
		return []string{fmt.Sprintf("#%d %s", step.number, e.Text)}
	}
	var out []string
	step, known := b.steps[e.ID]
	if !known {
		step = &buildStep{number: len(b.steps) + 1, name: e.Text, begun: e.Time, said: map[string]bool{}}
		b.steps[e.ID], b.byName[e.Text] = step, step
		out = append(out, fmt.Sprintf("#%d %s", step.number, step.name))
	}
	switch {
	case e.Status == event.Error:
		return append(out, step.fail(e.Text)...)
	case e.Status == event.Done && step.ended, known && e.Status == event.Working && e.Text == step.name:
		return out
	case e.Status == event.Done && e.Details == "CACHED":
		step.ended = true
		return append(out, fmt.Sprintf("#%d CACHED", step.number))
	case e.Status == event.Done:
		step.ended = true
		return append(out, fmt.Sprintf("#%d DONE %.1fs", step.number, e.Time.Sub(step.begun).Seconds()))
	case !known:
		return out
	}
	step.last = append(step.last, e.Text)
	if len(step.last) > excerpt {
		step.last = step.last[1:]
	}
	return append(out, fmt.Sprintf("#%d %.3f %s", step.number, e.Time.Sub(step.begun).Seconds(), e.Text))
}

// name is that of the step that an event is about, as it is known after lines.
func (b *BuildLog) name(e event.Event) string {
	if step, ok := b.steps[e.ID]; ok {
		return step.name
	}
	return e.ID // an action names its step
}

// fail says why a step ended, with the end of its output.
func (s *buildStep) fail(cause string) []string {
	if s.ended {
		return nil
	}
	s.ended = true
	out := []string{fmt.Sprintf("#%d ERROR: %s", s.number, cause), "------", " > " + s.name + ":"}
	return append(append(out, s.last...), "------")
}
