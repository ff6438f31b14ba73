package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// slow is a backend whose changes take their time, each kind its own.
type slow struct {
	*backend.Fake
	refuse string // a container whose start fails
}

func (s slow) Check(ctx context.Context, b []spec.Blueprint, n []spec.Network, except []string) []error {
	time.Sleep(time.Second)
	return s.Fake.Check(ctx, b, n, except)
}

func (s slow) PullImage(ctx context.Context, p spec.Pull, progress func(spec.Progress)) (spec.Image, error) {
	time.Sleep(20 * time.Second)
	return s.Fake.PullImage(ctx, p, progress)
}

func (s slow) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	time.Sleep(3 * time.Second)
	return s.Fake.CreateNetwork(ctx, n)
}

func (s slow) CreateContainer(ctx context.Context, b spec.Blueprint) (spec.Container, error) {
	time.Sleep(5 * time.Second)
	return s.Fake.CreateContainer(ctx, b)
}

func (s slow) StartContainer(ctx context.Context, id string) error {
	time.Sleep(2 * time.Second)
	if s.refuse != "" {
		return errors.New("no such command")
	}
	return s.Fake.StartContainer(ctx, id)
}

// timesOf runs an up and returns a line per step: id, begin-end in seconds,
// what came before.
func timesOf(t *testing.T, w *world, b backend.Backend, p *model.Project, begun time.Duration, parallel int) (lines []string) {
	t.Helper()
	diff := w.plan(p, state.Options{}, plan.Policy{})
	o := Options{Parallel: parallel, Prepare: func(context.Context) error { time.Sleep(4 * time.Second); return nil }}
	if begun > 0 {
		o.Begun = time.Now().Add(-begun)
	}
	_, _ = Run(t.Context(), diff, b, func(e event.Event) {
		if e.Kind != event.KindStep {
			return
		}
		s := e.Step
		line := fmt.Sprintf("%s %g-%g after %s", e.ID, s.Began.Seconds(), s.Ended.Seconds(), strings.Join(s.After, ", "))
		if e.Status == event.Error {
			line += " failed"
		}
		lines = append(lines, line)
	}, o)
	slices.Sort(lines)
	return lines
}

func TestEachStepTellsWhatItWaitedForAndTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := project(model.Service{Name: "db", Image: "image1"},
			model.Service{Name: "web", DependsOn: []model.Dependency{on("db", model.Started)}})
		same(t, "times", timesOf(t, w, slow{Fake: w.fake}, p, 2*time.Second, 0), []string{
			"check 2-3 after plan",
			"create network p_default 7-10 after keep project",
			"create p-db-1 27-32 after create network p_default, pull image1",
			"create p-web-1 10-15 after create network p_default",
			"keep project 3-7 after check",
			"plan 0-2 after ",
			"pull image1 7-27 after keep project",
			"start p-db-1 32-34 after create p-db-1, pull image1",
			"start p-web-1 34-36 after create p-web-1, start p-db-1",
		})
		if lines := timesOf(t, w, slow{Fake: w.fake}, p, 2*time.Second, 0); !slices.Equal(lines, []string{"keep project 2-6 after plan", "plan 0-2 after "}) {
			t.Errorf("of nothing to do: %q", lines)
		}
		if lines := timesOf(t, w, slow{Fake: w.fake}, project(model.Service{Name: "x"}), 0, 0); len(lines) != 0 {
			t.Errorf("told without being asked: %q", lines)
		}
	})
}

func TestAStepThatWaitsForAPlaceOrFailsTellsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := project(model.Service{Name: "a", NetworkMode: "none"}, model.Service{Name: "b", NetworkMode: "none", DependsOn: []model.Dependency{on("a", model.Started)}})
		p.Networks = nil
		same(t, "times", timesOf(t, w, slow{Fake: w.fake, refuse: "p-a-1"}, p, time.Second, 1), []string{
			"check 1-2 after plan",
			"create p-a-1 6-11 after keep project",
			"create p-b-1 11-16 after keep project", // 5 s for a place
			"keep project 2-6 after check",
			"plan 0-1 after ",
			"start p-a-1 16-18 after create p-a-1 failed",
		})
	})
}
