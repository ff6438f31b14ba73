package ui

import (
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

func step(id, kind, target string, began, ended int, after ...string) event.Event {
	return event.Event{Kind: event.KindStep, ID: id, Status: event.Done, Step: &event.Step{
		Kind: kind, Target: target, After: after,
		Began: time.Duration(began) * 100 * time.Microsecond, Ended: time.Duration(ended) * 100 * time.Microsecond,
	}}
}

// timings is an up of a db that web waits for; web's start had to wait for a
// free place, and failed.
func timings() Timings {
	failed := step("start shop-web-1", "start container", "shop-web-1", 1560, 1662, "create shop-web-1", "wait healthy shop-db-1")
	failed.Status = event.Error
	return Timings{
		Command: "up", Before: "files unchanged", Reading: 3200 * time.Microsecond, Total: 168 * time.Millisecond,
		Steps: []event.Event{ // in the order in which they ended
			step("plan", "plan", "", 0, 12),
			step("check", "check", "", 12, 15, "plan"),
			step("keep project", "keep project", "", 15, 56, "check"),
			step("create network shop_default", "create network", "shop_default", 56, 358, "keep project"),
			step("create shop-web-1", "create container", "shop-web-1", 358, 400, "create network shop_default"),
			step("create shop-db-1", "create container", "shop-db-1", 358, 421, "create network shop_default"),
			step("start shop-db-1", "start container", "shop-db-1", 421, 523, "create shop-db-1"),
			step("wait healthy shop-db-1", "wait for container", "shop-db-1", 523, 1532, "start shop-db-1"),
			failed,
		},
	}
}

func TestTimingsShowStepsAndTheCriticalPath(t *testing.T) {
	for _, mode := range []Mode{ModePlain, ModeJSON, ModeQuiet} {
		t.Run(string(mode), func(t *testing.T) {
			s, out, err := screen(mode, nil)
			s.Timings(timings())
			golden(t, "timings-"+string(mode), []byte("out:\n"+out.String()+"err:\n"+err.String()))
		})
	}
}

func TestTimingsOfNothingToDo(t *testing.T) {
	s, _, err := screen(ModePlain, nil)
	s.Timings(Timings{Command: "up", Before: "files read", Reading: 30 * time.Millisecond, Total: 5 * time.Millisecond,
		Steps: []event.Event{step("plan", "plan", "", 0, 20), step("keep project", "keep project", "", 20, 20, "plan")}})
	golden(t, "timings-nothing", err.Bytes())
}

// The legs of the path must add up to the whole, or it would hide something.
func TestTheCriticalPathAddsUp(t *testing.T) {
	all := timings()
	var sum float64
	for _, l := range all.criticalPath(timed(all.Steps)) {
		sum += l.Took
	}
	if whole := millis(all.Reading + all.Total); sum < whole-0.5 || sum > whole+0.5 {
		t.Errorf("the path takes %.1f ms of %.1f", sum, whole)
	}
}

func TestProgressKeepsStepsAndShowsNoneOfThem(t *testing.T) {
	for _, mode := range []Mode{ModePlain, ModeJSON, ModeTTY} {
		s, out, err := screen(mode, nil)
		p := s.Progress(ProgressOptions{Title: "up"})
		p.Show(step("plan", "plan", "", 0, 12))
		p.Close()
		if len(p.Steps()) != 1 || out.Len()+err.Len() != 0 {
			t.Errorf("%s: %d steps, shown: %q %q", mode, len(p.Steps()), out, err)
		}
	}
}
