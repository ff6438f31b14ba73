package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mycompose/mycompose/compose/event"
)

// Timings is what an operation took, as `up --timings` shows it.
type Timings struct {
	// Command is "up"; Before what it did before the operation, and how long.
	Command string
	Before  string
	Reading time.Duration
	// Total is the operation's time as its client saw it.
	Total time.Duration
	// Steps are the operation's events of KindStep.
	Steps []event.Event
}

// timedStep is one step with what it waited for.
type timedStep struct {
	event.Event
	// last is the step that ended last of those that it came after; nil: none.
	last *timedStep
	// wait is how long it then waited for its turn: a free place among those
	// that work, or what the run did in between.
	wait time.Duration
}

func (t *timedStep) took() time.Duration { return t.Step.Ended - t.Step.Began }

// what names a step: "start container shop-web-1".
func (t *timedStep) what() string {
	text := t.Step.Kind
	if t.Step.Target != "" {
		text += " " + t.Step.Target
	}
	if t.Status == event.Error {
		text += " (failed)"
	}
	return text
}

// waited names what a step waited for: "-" for nothing.
func (t *timedStep) waited() string {
	if t.last == nil {
		return "-"
	}
	text := t.last.what()
	if millis(t.wait) >= shownWait {
		text += fmt.Sprintf(", then %.1f for its turn", millis(t.wait))
	}
	return text
}

// shownWait is the shortest wait for a turn that is told, in milliseconds.
const shownWait = 0.1

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// timed sorts the steps by their beginning and finds what each waited for.
func timed(events []event.Event) []*timedStep {
	steps := make([]*timedStep, 0, len(events))
	byID := map[string]*timedStep{}
	for _, e := range events {
		t := &timedStep{Event: e}
		steps = append(steps, t)
		byID[e.ID] = t
	}
	for _, t := range steps {
		for _, id := range t.Step.After {
			before := byID[id]
			if before != nil && (t.last == nil || before.Step.Ended > t.last.Step.Ended) {
				t.last = before
			}
		}
		if t.last != nil {
			t.wait = max(0, t.Step.Began-t.last.Step.Ended)
		}
	}
	slices.SortStableFunc(steps, func(a, b *timedStep) int {
		return cmp.Or(cmp.Compare(a.Step.Began, b.Step.Began), cmp.Compare(a.Step.Ended, b.Step.Ended), cmp.Compare(a.ID, b.ID))
	})
	return steps
}

// leg is a part of the critical path.
type leg struct {
	What string  `json:"what"`
	Took float64 `json:"took_ms"`
}

// criticalPath is what the command's time went by: from the step that ended
// last back over what each waited for. Its legs add up to the whole.
func (t Timings) criticalPath(steps []*timedStep) []leg {
	var path []leg
	add := func(what string, took time.Duration) {
		if millis(took) >= shownWait {
			path = append(path, leg{what, millis(took)})
		}
	}
	if len(steps) > 0 {
		last := slices.MaxFunc(steps, func(a, b *timedStep) int { return cmp.Compare(a.Step.Ended, b.Step.Ended) })
		add("hand over, and the answer", t.Total-last.Step.Ended)
		for s := last; s != nil; s = s.last {
			add(s.what(), s.took())
			if s.last != nil {
				add("the turn of "+s.what(), s.wait)
			}
		}
	}
	add(t.Before, t.Reading)
	slices.Reverse(path)
	return path
}

// Timings shows them on standard error: as a table, or as one JSON object per
// step and one for the critical path. Quiet mode shows none.
func (s *Screen) Timings(t Timings) {
	steps := timed(t.Steps)
	path := t.criticalPath(steps)
	switch s.o.Mode {
	case ModeQuiet:
	case ModeJSON:
		for _, step := range steps {
			s.printJSON(step.json())
		}
		s.printJSON(struct {
			CriticalPath []leg   `json:"critical_path"`
			Total        float64 `json:"total_ms"`
		}{path, millis(t.Reading + t.Total)})
	default:
		s.Notice(t.table(steps, path))
	}
}

// jsonStep is a step in json mode.
type jsonStep struct {
	ID        string  `json:"id"`
	Status    string  `json:"status"`
	Text      string  `json:"text"`
	Target    string  `json:"target,omitempty"`
	WaitedFor string  `json:"waited_for,omitempty"`
	Turn      float64 `json:"waited_for_turn_ms"`
	Began     float64 `json:"began_ms"`
	Took      float64 `json:"took_ms"`
}

func (t *timedStep) json() jsonStep {
	out := jsonStep{
		ID: t.ID, Status: string(t.Status), Text: t.Step.Kind, Target: t.Step.Target,
		Turn: millis(t.wait), Began: millis(t.Step.Began), Took: millis(t.took()),
	}
	if t.last != nil {
		out.WaitedFor = t.last.ID
	}
	return out
}

// table is the text for people; all numbers are milliseconds.
func (t Timings) table(steps []*timedStep, path []leg) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Timings of %s in ms: %s %.1f, %d steps %.1f, whole %.1f\n", t.Command,
		t.Before, millis(t.Reading), len(steps), millis(t.Total), millis(t.Reading+t.Total))
	width := len("STEP")
	for _, s := range steps {
		width = max(width, utf8.RuneCountInString(s.what()))
	}
	fmt.Fprintf(&out, "%9s %9s   %-*s   %s\n", "BEGAN", "TOOK", width, "STEP", "WAITED FOR")
	for _, s := range steps {
		fmt.Fprintf(&out, "%9.1f %9.1f   %-*s   %s\n", millis(s.Step.Began), millis(s.took()), width, s.what(), s.waited())
	}
	out.WriteString("Critical path:\n")
	for _, l := range path {
		fmt.Fprintf(&out, "%9s %9.1f   %s\n", "", l.Took, l.What)
	}
	return strings.TrimSuffix(out.String(), "\n")
}
