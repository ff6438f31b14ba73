package apply

import (
	"slices"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/engine/spec"
)

func resource(id string, status event.Status, text, details string) event.Event {
	return event.Event{Kind: event.KindResource, ID: id, Status: status, Text: text, Details: details}
}

// idOf is what docker compose calls the thing that a step is about.
func idOf(step *plan.Step) string {
	switch step.Kind {
	case plan.PullImage, plan.BuildImage, plan.PushImage, plan.RemoveImage:
		return "Image " + step.Target
	case plan.CreateNetwork, plan.RemoveNetwork:
		return "Network " + step.Target
	case plan.CreateVolume, plan.RemoveVolume:
		return "Volume " + step.Target
	}
	return "Container " + step.Target
}

func (r *runner) emit(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sink(e)
}

func (r *runner) warn(text string) {
	r.emit(event.Event{Kind: event.KindWarning, Status: event.Warning, Text: text})
}

// about is an event of a step, with what it is about and why.
func about(step *plan.Step, status event.Status, text, details string) event.Event {
	e := resource(idOf(step), status, text, details)
	if step.Kind != plan.Gate {
		e.Service, e.Reason = step.Service, step.Cause
	}
	return e
}

func (r *runner) begin(step *plan.Step) {
	if step.Begin == "" {
		return
	}
	e := about(step, event.Working, step.Begin, "")
	if step.Kind == plan.WaitContainer {
		e.Waiters = r.waiters(step)
	}
	r.emit(e)
}

// waiters are the services of which a container is started only after a step.
func (r *runner) waiters(step *plan.Step) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for i := range r.plan.Steps {
		s := &r.plan.Steps[i]
		if s.Service != "" && slices.Contains(s.After, step.ID) && !slices.Contains(out, s.Service) {
			out = append(out, s.Service)
		}
	}
	slices.Sort(out)
	return out
}

func (r *runner) end(step *plan.Step) { r.endAs(step, step.End) }

func (r *runner) endAs(step *plan.Step, word string) {
	if word != "" {
		r.emit(about(step, event.Done, word, step.Details))
	}
}

func (r *runner) failed(step *plan.Step, details string) {
	r.emit(about(step, event.Error, "Error", details))
}

// progress turns what a pull or a build tells into events.
func (r *runner) progress(step *plan.Step) func(spec.Progress) {
	parent := idOf(step)
	return func(p spec.Progress) {
		e := event.Event{
			Kind: event.KindResource, ID: p.ID, ParentID: parent, Status: event.Working,
			Text: p.Text, Current: p.Current, Total: p.Total,
		}
		if step.Build != nil {
			e.Kind = event.KindOutput
		}
		switch {
		case p.Error:
			e.Status, e.Details = event.Error, "ERROR"
		case p.Cached:
			e.Status, e.Details = event.Done, "CACHED"
		case p.Done:
			e.Status, e.Details = event.Done, "DONE"
		}
		if e.Kind == event.KindResource {
			e.Details = ""
		}
		if p.Output {
			e.Details = ""
		}
		r.emit(e)
	}
}
