package apply

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func hooked(name string, command ...string) model.Service {
	return model.Service{
		Name: name, PostStart: []model.Hook{{Command: command}}, PreStop: []model.Hook{{Command: command}},
	}
}

// operations are what the fake was asked to do with a container.
func (w *world) operations(name string) []string {
	var out []string
	for _, c := range w.fake.Calls() {
		if c.Target == name {
			out = append(out, c.Operation)
		}
	}
	return out
}

func TestHooksRunAfterEachStartAndBeforeEachStop(t *testing.T) {
	w := newWorld(t)
	db := hooked("db", "ok")
	web := model.Service{Name: "web", DependsOn: []model.Dependency{on("db", model.Started)}}
	w.mustUp(project(web, db))
	w.wantTold("Container p-db-1", "Creating, Created, Starting, Started")
	if w.indexOf("Container p-db-1 Started") > w.indexOf("Container p-web-1 Starting") {
		t.Error("web was started before the hooks of db had ended")
	}
	w.mustUp(project(web, db))
	w.wantTold("Container p-db-1", "Running")
	db.Environment = map[string]string{"A": "b"}
	w.mustUp(project(web, db))
	w.wantTold("Container p-db-1", "Recreate, Recreated, Starting, Started")
	w.mustDown(project(web, db))
	same(t, "db", w.operations("p-db-1"), []string{
		"create", "start", "post_start", "pre_stop", "stop", "remove",
		"create", "start", "post_start", "pre_stop", "stop", "remove",
	})
}

func TestAHookThatFailsIsDueAtTheNextUp(t *testing.T) {
	w := newWorld(t)
	db := hooked("db", "exit", "3")
	web := model.Service{Name: "web", DependsOn: []model.Dependency{on("db", model.Started)}}
	for range 2 {
		w.wantError(w.up(project(web, db)), "post_start hook of p-db-1 exited with status 3")
		if len(w.result.Culprits) != 1 {
			t.Errorf("culprits %q", w.result.Culprits)
		}
		same(t, "web", w.operations("p-web-1"), []string{"create"})
	}
	same(t, "db", w.operations("p-db-1"), []string{"create", "start", "post_start", "post_start"})
	actual, err := state.Observe(t.Context(), w.fake, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Stop(actual, plan.Scope{Project: project(web, db)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.wantError(w.apply(p), "pre_stop hook of p-db-1 exited with status 3")
	if states := w.containers(); states[0] != "p-db-1 running" {
		t.Errorf("containers %q", states)
	}
}

func TestACancelInterruptsHooks(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.fake.Fail = func(c backend.Call) error {
		if c.Operation != "post_start" {
			return nil
		}
		cancel()
		return context.Canceled
	}
	_, err := Run(ctx, w.plan(project(hooked("db", "ok")), state.Options{}, plan.Policy{}), w.fake, w.sink, Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	w.wantTold("Container p-db-1", "Creating, Created, Starting")
}

// hookedMachine fails the start of web once a hook runs and a wait has begun, and
// lets the hook end after that failure has interrupted the wait.
type hookedMachine struct {
	*backend.Fake
	hooked, waiting, interrupted chan struct{}
}

func (m *hookedMachine) StartContainer(ctx context.Context, id string) error {
	if c, err := m.Fake.Containers(ctx, "p"); err != nil || !slices.ContainsFunc(c, func(c spec.Container) bool {
		return c.Blueprint.ID == id && c.Blueprint.Name == "p-web-1"
	}) {
		return errors.Join(err, m.Fake.StartContainer(ctx, id))
	}
	<-m.hooked
	<-m.waiting
	return errors.New("web does not start")
}

func (m *hookedMachine) WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error) {
	close(m.waiting)
	defer close(m.interrupted)
	return m.Fake.WaitContainer(ctx, id, until)
}

func (m *hookedMachine) RunHooks(ctx context.Context, id string, when spec.Moment) error {
	close(m.hooked)
	<-m.interrupted
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return m.Fake.RunHooks(ctx, id, when)
}

func TestAFailureElsewhereLetsHooksEnd(t *testing.T) {
	w := newWorld(t)
	slow := model.Service{Name: "slow", Healthcheck: &model.Healthcheck{Test: []string{"CMD", "pending"}}}
	last := model.Service{Name: "last", DependsOn: []model.Dependency{on("slow", model.Healthy)}}
	m := &hookedMachine{Fake: w.fake, hooked: make(chan struct{}), waiting: make(chan struct{}), interrupted: make(chan struct{})}
	p := w.plan(project(hooked("db", "ok"), slow, last, model.Service{Name: "web"}), state.Options{}, plan.Policy{})
	_, err := Run(t.Context(), p, m, w.sink, Options{})
	w.wantError(err, "web does not start")
	w.wantTold("Container p-db-1", "Creating, Created, Starting, Started")
}
