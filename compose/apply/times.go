package apply

import (
	"slices"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/plan"
)

// What comes before a plan's own steps, as steps of KindStep events.
const (
	planned  = "plan"
	checked  = "check"
	prepared = "keep project"
)

// times is what a run remembers to say what each step waited for; the runner's
// lock guards it.
type times struct {
	// last is what came last before the first step.
	last string
	// joined maps steps that came with a grown plan to the image step that it
	// grew by.
	joined map[string]string
}

// tell tells what a step took, if the run is to tell.
func (r *runner) tell(id string, s event.Step, began time.Time, err error) {
	if r.options.Begun.IsZero() {
		return
	}
	s.Began, s.Ended = began.Sub(r.options.Begun), time.Since(r.options.Begun)
	status := event.Done
	if err != nil {
		status = event.Error
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch id {
	case planned, checked, prepared:
		r.times.last = id
	}
	r.sink(event.Event{Kind: event.KindStep, ID: id, Status: status, Step: &s})
}

// latest is what came last before the first step.
func (r *runner) latest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times.last
}

// joins notes the steps that a grown plan has more.
func (r *runner) joins(next *plan.Plan, by string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range next.Steps {
		if id := next.Steps[i].ID; r.steps[id] == nil {
			if r.times.joined == nil {
				r.times.joined = map[string]string{}
			}
			r.times.joined[id] = by
		}
	}
}

// after is what a step had to wait for.
func (r *runner) after(step *plan.Step) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := slices.Clone(step.After)
	if by, ok := r.times.joined[step.ID]; ok && !slices.Contains(after, by) {
		after = append(after, by)
	}
	if len(after) == 0 {
		after = []string{r.times.last}
	}
	return after
}
