package apply

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/plan"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// world is a project on a fake machine.
type world struct {
	t    testing.TB
	fake *backend.Fake
	// events of the last run, as "Container p-web-1 Created".
	events []string
	result Result
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, fake: backend.NewFake()}
	for i := range 4 {
		w.fake.Publish(fmt.Sprintf("image%d", i), spec.ImageConfig{Volumes: []string{"/var/lib/data"}})
	}
	w.fake.AddImage("here", spec.ImageConfig{})
	return w
}

func project(services ...model.Service) *model.Project {
	p := &model.Project{
		Name: "p", WorkingDir: "/app", ComposeFiles: []string{"/app/compose.yaml"},
		Services: map[string]model.Service{},
		Networks: map[string]model.Network{"default": {Key: "default", Name: "p_default", Driver: "bridge"}},
		Volumes:  map[string]model.Volume{"data": {Key: "data", Name: "p_data", Driver: "local"}},
	}
	for _, s := range services {
		if s.Scale == 0 {
			s.Scale = 1
		}
		if s.Image == "" && s.Build == nil {
			s.Image = "here"
		}
		if s.NetworkMode == "" && s.Networks == nil {
			s.Networks = []model.Attachment{{Network: "default"}}
		}
		p.Services[s.Name] = s
	}
	return p
}

func on(service string, c model.Condition) model.Dependency {
	return model.Dependency{Service: service, Condition: c, Required: true}
}

func (w *world) plan(p *model.Project, o state.Options, policy plan.Policy) *plan.Plan {
	w.t.Helper()
	want, err := state.Want(p, o)
	if err != nil {
		w.t.Fatal(err)
	}
	actual, err := state.Observe(w.t.Context(), w.fake, p.Name, want.References())
	if err != nil {
		w.t.Fatal(err)
	}
	diff, err := plan.Diff(want, actual, policy)
	if err != nil {
		w.t.Fatal(err)
	}
	return diff
}

func (w *world) apply(p *plan.Plan) error {
	w.events = nil
	var err error
	w.result, err = Run(w.t.Context(), p, w.fake, w.sink, Options{})
	return err
}

func (w *world) sink(e event.Event) {
	words := []string{e.ID, e.Text, e.Details}
	if e.Kind == event.KindWarning {
		words = []string{"warning:", e.Text}
	}
	w.events = append(w.events, strings.TrimRight(strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " "), " "))
}

func (w *world) up(p *model.Project) error {
	return w.apply(w.plan(p, state.Options{}, plan.Policy{}))
}

func (w *world) mustUp(p *model.Project) {
	w.t.Helper()
	if err := w.up(p); err != nil {
		w.t.Fatal(err)
	}
}

// containers returns "p-web-1 running" of all, sorted.
func (w *world) containers() []string {
	list, err := w.fake.Containers(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Blueprint.Name+" "+string(c.Status.State))
	}
	return out
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// random returns a project without cycles; names later in the alphabet depend
// on earlier ones.
func random(rnd *rand.Rand) *model.Project {
	p := project()
	p.Networks["back"] = model.Network{Key: "back", Name: "p_back", Driver: "bridge", Internal: true}
	count := 1 + rnd.IntN(6)
	for i := range count {
		s := model.Service{Name: string(rune('a' + i)), Image: fmt.Sprintf("image%d", rnd.IntN(4)), Scale: rnd.IntN(4)}
		if rnd.IntN(4) == 0 {
			s.Image, s.Build = "", &model.Build{Context: "/app/" + s.Name, Dockerfile: "/app/Dockerfile"}
		}
		s.Environment = map[string]string{"N": fmt.Sprint(rnd.IntN(2))}
		oneShot := rnd.IntN(5) == 0
		if oneShot {
			s.Command = []string{"exit", "0"}
		} else if rnd.IntN(2) == 0 {
			s.Healthcheck = &model.Healthcheck{Test: []string{"CMD", "true"}}
		}
		if !oneShot && rnd.IntN(4) == 0 {
			s.PostStart, s.PreStop = []model.Hook{{Command: []string{"warm"}}}, []model.Hook{{Command: []string{"flush"}}}
		}
		s.Networks = []model.Attachment{{Network: "default"}}
		switch rnd.IntN(4) {
		case 0:
			s.Networks = append([]model.Attachment{{Network: "back"}}, s.Networks...)
		case 1:
			if i > 0 {
				owner := p.Services[string(rune('a'+rnd.IntN(i)))]
				if owner.Scale > 0 && owner.Command == nil && owner.NetworkMode == "" {
					s.Networks, s.NetworkMode = nil, "service:"+owner.Name
					s.DependsOn = append(s.DependsOn, on(owner.Name, model.Started))
				}
			}
		}
		if i > 0 && rnd.IntN(4) == 0 {
			owner := p.Services[string(rune('a'+rnd.IntN(i)))]
			if owner.Scale > 0 && owner.Command == nil {
				s.PIDMode = "service:" + owner.Name
				if s.NetworkMode != s.PIDMode {
					s.DependsOn = append(s.DependsOn, on(owner.Name, model.Started))
				}
			}
		}
		if rnd.IntN(3) == 0 {
			s.Mounts = []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}}
		}
		for j := range i {
			name := string(rune('a' + j))
			if rnd.IntN(3) != 0 || slices.Contains(s.NamespaceServices(), name) {
				continue
			}
			dep := on(name, model.Started)
			other := p.Services[name]
			switch {
			case other.Command != nil:
				dep.Condition = model.Completed
			case other.Healthcheck != nil && rnd.IntN(2) == 0:
				dep.Condition = model.Healthy
			}
			dep.Restart = rnd.IntN(4) == 0
			s.DependsOn = append(s.DependsOn, dep)
		}
		p.Services[s.Name] = s
	}
	return p
}
