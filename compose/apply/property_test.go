package apply

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

const seeds = 40

// eachSeed runs a check on random projects, reproducible by its name.
func eachSeed(t *testing.T, check func(t *testing.T, rnd *rand.Rand)) {
	for seed := range uint64(seeds) {
		t.Run("seed "+strconv.FormatUint(seed, 10), func(t *testing.T) {
			check(t, rand.New(rand.NewPCG(seed, 42)))
		})
	}
}

// settled checks that nothing is left to do but to run one-shots once more.
func (w *world) settled(p *model.Project) {
	w.t.Helper()
	left := w.plan(p, state.Options{}, plan.Policy{RemoveOrphans: true})
	for _, step := range left.Steps {
		oneShot := p.Services[step.Service].Command != nil
		if step.Kind != plan.WaitContainer && (!oneShot || step.Kind != plan.StartContainer) {
			w.t.Fatalf("not settled:\n%s", left)
		}
	}
	for name, s := range p.Services {
		if got := len(replicasOf(w, name)); got != s.Scale {
			w.t.Fatalf("service %s has %d containers, want %d", name, got, s.Scale)
		}
	}
}

func replicasOf(w *world, service string) []state.Container {
	actual, err := state.Observe(w.t.Context(), w.fake, "p", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return actual.Replicas(service)
}

func TestAfterUpNothingIsLeftToDo(t *testing.T) {
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		w, p := newWorld(t), random(rnd)
		w.mustUp(p)
		w.settled(p)
		// Another version of the project on top of it.
		next := random(rnd)
		if err := w.apply(w.plan(next, state.Options{}, plan.Policy{RemoveOrphans: true})); err != nil {
			t.Fatal(err)
		}
		w.settled(next)
		w.mustDown(next)
	})
}

// mustDown takes everything down and checks that nothing is left.
func (w *world) mustDown(p *model.Project) {
	w.t.Helper()
	w.down(p)
	if left := w.containers(); len(left) > 0 {
		w.t.Fatalf("containers left: %v", left)
	}
	networks, _ := w.fake.Networks(w.t.Context())
	volumes, _ := w.fake.Volumes(w.t.Context())
	for _, v := range volumes {
		if !v.Anonymous {
			w.t.Fatalf("volume left: %v", v)
		}
	}
	if len(networks) > 0 {
		w.t.Fatalf("networks left: %v", networks)
	}
}

func (w *world) down(p *model.Project) {
	w.t.Helper()
	actual, err := state.Observe(w.t.Context(), w.fake, "p", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	down, err := plan.Down(actual, plan.Scope{Project: p, Orphans: true}, plan.DownOptions{Volumes: true})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.apply(down); err != nil {
		w.t.Fatal(err)
	}
}

// TestAnInterruptedUpConverges lets the daemon die after step k of a change
// from one project to another, for every k, and does the operation again.
func TestAnInterruptedUpConverges(t *testing.T) {
	died := errors.New("the daemon died")
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		first, second := random(rnd), random(rnd)
		for k := 0; ; k++ {
			w := newWorld(t)
			w.mustUp(first)
			since := w.fake.Now()
			calls := 0
			w.fake.Fail = func(backend.Call) error {
				if calls++; calls > k {
					return died
				}
				return nil
			}
			err := w.apply(w.plan(second, state.Options{}, plan.Policy{RemoveOrphans: true}))
			w.fake.Fail = nil
			if err != nil && !errors.Is(err, died) {
				t.Fatalf("step %d: %v", k, err)
			}
			again := w.plan(second, state.Options{}, plan.Policy{RemoveOrphans: true, Since: since})
			if err := w.apply(again); err != nil {
				t.Fatalf("again after step %d: %v\n%s", k, err, again)
			}
			w.settled(second)
			if done := w.plan(second, state.Options{}, plan.Policy{RemoveOrphans: true, Since: since}); !onlyImages(done) {
				t.Fatalf("after step %d and again, the same operation has still to do:\n%s", k, done)
			}
			if err == nil {
				return
			}
		}
	})
}

// TestACanceledUpConverges cancels after each event in turn and does the up
// again.
func TestACanceledUpConverges(t *testing.T) {
	why := errors.New("asked to end")
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		p := random(rnd)
		for k := 0; ; k += 3 {
			w := newWorld(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			told := 0
			_, err := Run(ctx, w.plan(p, state.Options{}, plan.Policy{}), w.fake, func(event.Event) {
				if told++; told > k {
					cancel(why)
				}
			}, Options{})
			cancel(nil)
			if err != nil && !errors.Is(err, why) {
				t.Fatalf("after event %d: %v", k, err)
			}
			w.mustUp(p)
			w.settled(p)
			if err == nil {
				return
			}
		}
	})
}

func TestEqualInputGivesAnEqualPlan(t *testing.T) {
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		w, p := newWorld(t), random(rnd)
		w.mustUp(p)
		next := random(rnd)
		first := w.plan(next, state.Options{}, plan.Policy{RemoveOrphans: true}).String()
		if again := w.plan(next, state.Options{}, plan.Policy{RemoveOrphans: true}).String(); again != first {
			t.Errorf("first\n%s\nthen\n%s", first, again)
		}
	})
}

// onlyImages: images are looked for again, containers are as they should be.
func onlyImages(p *plan.Plan) bool {
	return !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Kind != plan.PullImage && s.Kind != plan.BuildImage })
}

func TestAnInterruptedDownConverges(t *testing.T) {
	died := errors.New("the daemon died")
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		p := random(rnd)
		for k := 0; ; k++ {
			w := newWorld(t)
			w.mustUp(p)
			calls := 0
			w.fake.Fail = func(backend.Call) error {
				if calls++; calls > k {
					return died
				}
				return nil
			}
			actual, err := state.Observe(t.Context(), w.fake, "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			down, err := plan.Down(actual, plan.Scope{Project: p}, plan.DownOptions{Volumes: true})
			if err != nil {
				t.Fatal(err)
			}
			err = w.apply(down)
			w.fake.Fail = nil
			w.mustDown(p)
			if err == nil {
				return
			}
		}
	})
}

// TestNoStepBeforeItsDependencies watches the order in which the backend is
// called.
func TestNoStepBeforeItsDependencies(t *testing.T) {
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		w, p := newWorld(t), random(rnd)
		w.mustUp(p)
		p = random(rnd)
		before := len(w.fake.Calls())
		want, err := state.Want(p, state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		actual, err := state.Observe(t.Context(), w.fake, "p", want.References())
		if err != nil {
			t.Fatal(err)
		}
		whole, err := plan.Diff(want, actual, plan.Policy{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.apply(whole); err != nil {
			t.Fatal(err)
		}
		for _, reference := range whole.Images() { // the plan as it has grown
			image, err := w.fake.Image(t.Context(), reference)
			if err != nil {
				t.Fatal(err)
			}
			if whole, err = whole.With(reference, image); err != nil {
				t.Fatal(err)
			}
		}
		if len(whole.Pending) > 0 {
			t.Fatalf("still pending: %v", whole.Pending)
		}
		at := map[string]int{}
		for i, call := range w.fake.Calls()[before:] {
			at[call.Operation+" "+call.Target] = i
		}
		g := whole.Graph()
		for _, id := range g.Nodes() {
			for _, after := range g.After(id) {
				x, okX := at[id]
				y, okY := at[after]
				// A stop does not wait for the stops of a service whose image
				// is still to come.
				stops := strings.HasPrefix(id, "stop ") && strings.HasPrefix(after, "stop ")
				if okX && okY && x < y && !stops {
					t.Errorf("%q was done before %q", id, after)
				}
			}
		}
	})
}

func TestNothingUnlabelledIsTouched(t *testing.T) {
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		w := newWorld(t)
		image, _ := w.fake.Image(t.Context(), "here")
		foreign := spec.Blueprint{
			Name: "p-foreign", Project: "p", Image: "here", ImageDigest: image.Digest,
			Networks: []spec.Attachment{{Network: "p_foreign"}}, NetworkMode: "bridge",
			Mounts: []spec.Mount{{Type: spec.MountVolume, Source: "p_foreign", Target: "/x"}},
		}
		_, err := w.fake.CreateNetwork(t.Context(), spec.Network{Name: "p_foreign"})
		if err == nil {
			_, err = w.fake.CreateVolume(t.Context(), spec.Volume{Name: "p_foreign"})
		}
		var c spec.Container
		if err == nil {
			c, err = w.fake.CreateContainer(t.Context(), foreign)
		}
		if err == nil {
			err = w.fake.StartContainer(t.Context(), c.Blueprint.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
		before := len(w.fake.Calls())
		for range 2 {
			if err := w.apply(w.plan(random(rnd), state.Options{}, plan.Policy{RemoveOrphans: true})); err != nil {
				t.Fatal(err)
			}
		}
		w.down(nil)
		for _, call := range w.fake.Calls()[before:] {
			if strings.Contains(call.Target, "foreign") {
				t.Fatalf("touched: %v", call)
			}
		}
		if got := w.containers(); !slices.Equal(got, []string{"p-foreign running"}) {
			t.Fatalf("left: %v", got)
		}
	})
}

// TestAChangeIsConfinedToItsService changes the environment of one service.
func TestAChangeIsConfinedToItsService(t *testing.T) {
	eachSeed(t, func(t *testing.T, rnd *rand.Rand) {
		w, p := newWorld(t), random(rnd)
		w.mustUp(p)
		name := p.ServiceNames()[rnd.IntN(len(p.Services))]
		s := p.Services[name]
		s.Environment = maps.Clone(s.Environment)
		s.Environment["NEW"] = "1"
		p.Services[name] = s
		may := map[string]bool{name: true}
		for changed := true; changed; {
			changed = false
			for other, s := range p.Services {
				follows := slices.ContainsFunc(s.NamespaceServices(), func(owner string) bool { return may[owner] })
				for _, d := range s.DependsOn {
					follows = follows || (d.Restart && may[d.Service])
				}
				if follows && !may[other] {
					may[other], changed = true, true
				}
			}
		}
		for _, step := range w.plan(p, state.Options{}, plan.Policy{}).Steps {
			oneShot := p.Services[step.Service].Command != nil
			waits := step.Kind == plan.WaitContainer
			if !may[step.Service] && !waits && !(oneShot && step.Kind == plan.StartContainer) {
				t.Errorf("a change of %s leads to: %s (%s)", name, step.ID, step.Cause)
			}
			if step.Service == name && step.Kind == plan.CreateContainer && !strings.Contains(step.Cause, `environment.NEW set to "1"`) {
				owner := len(s.NamespaceServices()) > 0
				if !owner {
					t.Errorf("the cause does not name the field: %s", step.Cause)
				}
			}
		}
	})
}
