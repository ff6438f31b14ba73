package apply

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestAPullThatFailsLeavesTheMachineAsItWas(t *testing.T) {
	w := newWorld(t)
	err := w.up(project(model.Service{Name: "a", Image: "nowhere:1"}))
	w.wantError(err, "cannot pull image nowhere:1: manifest unknown")
	w.wantTold("Image nowhere:1", "Pulling, Error cannot pull image nowhere:1: manifest unknown")
	same(t, "containers", w.containers(), nil)
	if networks, _ := w.fake.Networks(t.Context()); len(networks) > 0 {
		t.Errorf("networks %v", networks)
	}
}

func TestATakenPortIsFoundBeforeAnythingIsTouched(t *testing.T) {
	w := newWorld(t)
	ports := []model.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}
	w.mustUp(project(model.Service{Name: "a", Ports: ports}))
	before := len(w.fake.Calls())
	other := project(model.Service{Name: "b", Ports: ports})
	other.Name = "q"
	err := w.up(other)
	w.wantError(err, "port 8080/tcp is taken by container p-a-1")
	if !errors.Is(err, spec.ErrPortTaken) || len(w.fake.Calls()) != before {
		t.Errorf("error %v, calls %v", err, w.fake.Calls()[before:])
	}
	// Within the project the port goes from one service to the other.
	w.mustUp(project(model.Service{Name: "a"}, model.Service{Name: "b", Ports: ports}))
	same(t, "containers", w.containers(), []string{"p-a-1 running", "p-b-1 running"})
}

// locked is a backend one of whose containers may not be changed.
type locked struct {
	*backend.Fake
	id string
}

func (l locked) Changeable(_ context.Context, t spec.Touched) []error {
	if slices.Contains(t.Containers, l.id) {
		return []error{errors.New("cannot change it")}
	}
	return nil
}

// down, stop and an up that makes it anew touch nothing of a project in which
// something may not be changed; what leaves it alone is done.
func TestWhatMayNotBeChangedIsFoundBeforeAnythingIsTouched(t *testing.T) {
	w := newWorld(t)
	file := project(model.Service{Name: "a"}, model.Service{Name: "b", DependsOn: []model.Dependency{{Service: "a", Condition: model.Started}}})
	w.mustUp(file)
	actual, err := state.Observe(t.Context(), w.fake, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := locked{w.fake, actual.Replicas("a")[0].ID()}
	before := len(w.fake.Calls())
	down, err := plan.Down(actual, plan.Scope{Project: file}, plan.DownOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := plan.Stop(actual, plan.Scope{Project: file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]*plan.Plan{"down": down, "stop": stop, "up": w.plan(file, state.Options{}, plan.Policy{ForceRecreate: true})} {
		if _, err := Run(t.Context(), p, b, func(event.Event) {}, Options{}); err == nil || err.Error() != "cannot change it" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if calls := w.fake.Calls()[before:]; len(calls) > 0 {
		t.Errorf("something was touched: %v", calls)
	}
	one, err := plan.Stop(actual, plan.Scope{Project: file, Services: []string{"b"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), one, b, func(event.Event) {}, Options{}); err != nil {
		t.Error(err)
	}
}

func TestACommandThatIsNotThereFailsTheUpAndNamesItsContainer(t *testing.T) {
	w := newWorld(t)
	err := w.up(project(model.Service{Name: "a", Command: []string{"missing"}}))
	if !errors.Is(err, spec.ErrCommand) || len(w.result.Culprits) != 1 {
		t.Errorf("error %v, result %+v", err, w.result)
	}
	same(t, "containers", w.containers(), []string{"p-a-1 created"})
}

func TestCreationThatTheEngineRefusesNamesServiceAndNumber(t *testing.T) {
	w := newWorld(t)
	w.fake.Fail = func(c backend.Call) error {
		if c.Operation == "create" {
			return errors.New("no space left")
		}
		return nil
	}
	w.wantError(w.up(project(model.Service{Name: "a"})), "no space left")
	w.wantTold("service:a:1", "Error no space left")
}

func TestACancelInterruptsWaitsAndStartsNothingNew(t *testing.T) {
	w := newWorld(t)
	p := w.plan(project(
		model.Service{Name: "a", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "pending"}}},
		model.Service{Name: "web", DependsOn: []model.Dependency{on("a", model.Healthy)}},
	), state.Options{}, plan.Policy{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("down asked")
	_, err := Run(ctx, p, w.fake, func(e event.Event) {
		if e.Text == "Waiting" {
			cancel(why)
		}
	}, Options{})
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	if !slices.Contains(w.containers(), "p-a-1 running") || slices.Contains(w.containers(), "p-web-1 running") {
		t.Errorf("containers %v", w.containers())
	}
}
