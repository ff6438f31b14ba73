package compose

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// memory keeps projects in a map.
type memory struct {
	records map[string]Record
	saves   int
}

func (m *memory) LoadProject(_ context.Context, name string) (Record, error) {
	r, ok := m.records[name]
	if !ok {
		return Record{}, spec.Errorf(spec.ErrNotFound, "project %s not found", name)
	}
	return r, nil
}

func (m *memory) SaveProject(_ context.Context, r Record) error {
	m.saves++
	m.records[r.Name] = r
	return nil
}

func (m *memory) DeleteProject(_ context.Context, name string) error {
	delete(m.records, name)
	return nil
}

func (m *memory) ListProjects(context.Context) ([]Record, error) {
	return slices.Collect(maps.Values(m.records)), nil
}

type world struct {
	t      *testing.T
	fake   *backend.Fake
	store  *memory
	c      *Compose
	events []event.Event
	count  int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, fake: backend.NewFake(), store: &memory{records: map[string]Record{}}}
	w.fake.AddImage("here", spec.ImageConfig{})
	w.fake.Publish("there", spec.ImageConfig{})
	w.c = &Compose{Backend: w.fake, Projects: w.store, Logger: slog.New(slog.DiscardHandler), Version: "1"}
	return w
}

func (w *world) operation(kind Kind, request any) Operation {
	w.t.Helper()
	w.count++
	return Operation{ID: fmt.Sprintf("op%d", w.count), Kind: kind, Project: "shop", Request: request, StartedAt: w.fake.Now()}
}

func (w *world) run(op Operation) event.Result {
	w.events = nil
	return w.c.Do(w.t.Context(), op, func(e event.Event) { w.events = append(w.events, e) })
}

// must does an operation that has to succeed.
func (w *world) must(kind Kind, request any) event.Result {
	w.t.Helper()
	result := w.run(w.operation(kind, request))
	if result.Error != "" || result.ExitCode != 0 {
		w.t.Fatalf("%s: %+v", kind, result)
	}
	return result
}

func (w *world) states() string {
	list, err := w.fake.Containers(w.t.Context(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Blueprint.Name+" "+string(c.Status.State))
	}
	return strings.Join(out, ", ")
}

func (w *world) wantStates(want string) {
	w.t.Helper()
	if got := w.states(); got != want {
		w.t.Errorf("containers: %s\nwant %s", got, want)
	}
}

func shop() *model.Project {
	none := func(s model.Service) model.Service {
		s.Scale, s.NetworkMode = 1, "none"
		return s
	}
	return &model.Project{Format: model.Format, Name: "shop", WorkingDir: "/app", ComposeFiles: []string{"/app/compose.yaml"},
		Services: map[string]model.Service{
			"db": none(model.Service{Name: "db", Image: "here", Restart: model.Restart{Policy: "always"},
				Healthcheck: &model.Healthcheck{Test: []string{"CMD", "true"}}}),
			"web": none(model.Service{Name: "web", Image: "there", Restart: model.Restart{Policy: "unless-stopped"},
				DependsOn: []model.Dependency{{Service: "db", Condition: model.Healthy, Required: true}}}),
		}}
}

func TestTheLifeOfAProject(t *testing.T) {
	w := newWorld(t)
	result := w.must(Up, UpRequest{Project: shop()})
	if len(result.Started) != 2 {
		t.Errorf("result %+v", result)
	}
	if last := w.events[len(w.events)-1]; last.Kind != event.KindResult || last.Result == nil {
		t.Errorf("last event %+v", last)
	}
	w.wantStates("shop-db-1 running, shop-web-1 running")
	w.must(Up, UpRequest{Project: shop()})
	if w.store.saves != 1 {
		t.Errorf("an unchanged project was saved %d times", w.store.saves)
	}
	w.must(Stop, StopRequest{Services: []string{"web"}})
	w.wantStates("shop-db-1 running, shop-web-1 exited")
	w.must(Start, StartRequest{Wait: true})
	w.wantStates("shop-db-1 running, shop-web-1 running")
	before := len(w.fake.Calls())
	w.must(Restart, RestartRequest{})
	if calls := w.fake.Calls()[before:]; len(calls) != 4 || calls[0] != (backend.Call{Operation: "stop", Target: "shop-web-1"}) ||
		calls[3] != (backend.Call{Operation: "start", Target: "shop-web-1"}) {
		t.Errorf("restart: %v", calls)
	}
	w.must(Kill, KillRequest{Services: []string{"web"}})
	w.wantStates("shop-db-1 running, shop-web-1 exited")
	w.must(Remove, RemoveRequest{})
	w.wantStates("shop-db-1 running")
	w.must(Create, UpRequest{Project: shop()})
	w.wantStates("shop-db-1 running, shop-web-1 created")
	w.must(Down, DownRequest{Volumes: true})
	w.wantStates("")
	if len(w.store.records) != 0 {
		t.Errorf("records %v", w.store.records)
	}
	w.must(Down, DownRequest{})
	if len(w.events) != 2 || w.events[0].Text != `Warning: No resource found to remove for project "shop".` {
		t.Errorf("down of nothing: %+v", w.events)
	}
	w.must(Down, DownRequest{Expected: true})
	if len(w.events) != 1 {
		t.Errorf("down of nothing that has a file: %+v", w.events)
	}
	if result := w.run(w.operation(Start, StartRequest{})); result.Error != `no container found for project "shop": not found` || result.Code != "not-found" {
		t.Errorf("start of nothing: %+v", result)
	}
}

// withoutImages has lost all image records.
type withoutImages struct{ *backend.Fake }

func (withoutImages) Images(context.Context) ([]spec.Image, error) { return nil, nil }

func TestWhatCannotBeStartedAgainIsNotStopped(t *testing.T) {
	w := newWorld(t)
	w.must(Up, UpRequest{Project: shop()})
	w.c.Backend = withoutImages{w.fake}
	result := w.run(w.operation(Restart, RestartRequest{}))
	for _, name := range []string{"shop-db-1: its image here", "shop-web-1: its image there"} {
		if !strings.Contains(result.Error, "cannot restart "+name) {
			t.Errorf("%q does not name %s", result.Error, name)
		}
	}
	w.wantStates("shop-db-1 running, shop-web-1 running")
}

func TestDownWorksByLabelsAlone(t *testing.T) {
	w := newWorld(t)
	w.must(Up, UpRequest{Project: shop()})
	w.store.records = map[string]Record{}
	before := len(w.fake.Calls())
	w.must(Down, DownRequest{})
	w.wantStates("")
	if first := w.fake.Calls()[before]; first.Target != "shop-web-1" {
		t.Errorf("the dependant was not stopped first but %v", first)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	for kind, request := range map[Kind]any{Up: UpRequest{Project: shop()}, Pull: PullRequest{Project: shop()}, Run: RunRequest{Project: shop(), Run: state.Run{Service: "web"}}} {
		before := len(w.fake.Calls())
		op := w.operation(kind, request)
		op.DryRun = true
		result := w.run(op)
		if result.Error != "" || len(w.fake.Calls()) != before || w.store.saves != 0 || w.events[0].Kind != event.KindPlan {
			t.Errorf("%s: %+v, saves %d, events %+v", kind, result, w.store.saves, w.events)
		}
	}
}

func TestRequestsAreReadStrictly(t *testing.T) {
	w := newWorld(t)
	cases := []struct {
		name string
		op   Operation
		want string
	}{
		{"another request", w.operation(Stop, DownRequest{}), "cannot stop project shop: the request is a compose.DownRequest"},
		{"unknown kind", Operation{ID: "x", Kind: "dance"}, `cannot do operation x: unknown kind "dance"`},
		{"no project", Operation{ID: "x", Kind: Up, Project: "shop"}, "cannot up project shop: the request holds no project"},
		{"another project", w.operation(Up, UpRequest{Project: &model.Project{Name: "q"}}), "cannot up project shop: the request holds project q"},
		{"both recreate flags", w.operation(Up, UpRequest{Project: shop(), ForceRecreate: true, NoRecreate: true}), "are incompatible"},
		{"pull option", w.operation(Up, UpRequest{Project: shop(), Pull: "bogus"}), `invalid --pull option "bogus"`},
		{"unknown service", w.operation(Up, UpRequest{Project: shop(), Services: []string{"nosuch"}}), "no such service: nosuch"},
		{"no service", w.operation(Up, UpRequest{Project: &model.Project{Name: "shop"}}), "no service selected"},
		{"rmi", w.operation(Down, DownRequest{Images: "some"}), `invalid value for --rmi: "some"`},
		{"pull policy", w.operation(Pull, PullRequest{Project: shop(), Policy: "some"}), `invalid --policy option "some"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if result := w.run(c.op); !strings.Contains(result.Error, c.want) || result.ExitCode != 1 {
				t.Errorf("result %+v", result)
			}
		})
	}
}

func TestACancelTellsWhoAsked(t *testing.T) {
	w := newWorld(t)
	p := shop()
	s := p.Services["db"]
	s.Healthcheck = &model.Healthcheck{Test: []string{"CMD", "pending"}}
	p.Services["db"] = s
	ctx, cancel := context.WithCancelCause(t.Context())
	result := w.c.Do(ctx, w.operation(Up, UpRequest{Project: p}), func(e event.Event) {
		if e.Text == "Waiting" {
			cancel(&Canceled{By: "down"})
		}
	})
	if result.Canceled != "down" || result.ExitCode != 130 || !strings.Contains(result.Error, "canceled by down") {
		t.Errorf("result %+v", result)
	}
}

func TestPullAndBuild(t *testing.T) {
	w := newWorld(t)
	p := shop()
	s := p.Services["db"]
	s.Image, s.Build = "", &model.Build{Context: "/app/db", Args: map[string]string{"A": "1"}}
	p.Services["db"] = s
	w.must(Pull, PullRequest{Project: p})
	w.must(Build, BuildRequest{Project: p, Args: map[string]string{"B": "2"}})
	if got := w.fake.ImageNames(); !slices.Equal(got, []string{"here", "shop-db", "there"}) {
		t.Errorf("images %v", got)
	}
	web := p.Services["web"]
	web.Image = "here:1"
	w.fake.AddImage("here:1", spec.ImageConfig{})
	pinned := *p
	pinned.Services = map[string]model.Service{"web": web}
	before := len(w.fake.Calls())
	w.must(Pull, PullRequest{Project: &pinned, Policy: "missing"})
	if len(w.fake.Calls()) != before || w.events[0].Text != "Skipped" || w.events[0].Details != "Image is already present locally" {
		t.Errorf("events %+v", w.events)
	}
	w.must(Up, UpRequest{Project: p})
	w.fake.Edit("/app/db")
	w.must(Up, UpRequest{Project: p, Build: "always"})
	var words []string
	for _, e := range w.events {
		if e.ID == "Container shop-db-1" {
			words = append(words, e.Text)
		}
	}
	if !slices.Equal(words, []string{"Recreate", "Recreated", "Starting", "Started"}) {
		t.Errorf("words %v", words)
	}
	w.must(Up, UpRequest{Project: p, Build: "always"}) // the same files give the same image
	for _, e := range w.events {
		if e.Text == "Recreate" {
			t.Errorf("an equal image led to %+v", e)
		}
	}
}

func TestPsAndLsListFromLabels(t *testing.T) {
	w := newWorld(t)
	w.must(Up, UpRequest{Project: shop()})
	w.must(Stop, StopRequest{Services: []string{"web"}})
	w.store.records = map[string]Record{}
	names := func(r PsRequest) string {
		r.Project = "shop"
		rows, err := w.c.Ps(t.Context(), r)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, row := range rows {
			out = append(out, fmt.Sprintf("%s/%s/%d", row.Name, row.Service, row.Number))
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		r    PsRequest
		want string
	}{
		{PsRequest{}, "shop-db-1/db/1"},
		{PsRequest{All: true}, "shop-db-1/db/1 shop-web-1/web/1"},
		{PsRequest{Statuses: []string{"exited"}}, "shop-web-1/web/1"},
		{PsRequest{Services: []string{"web"}}, ""},
		{PsRequest{Services: []string{"nosuch"}}, "no such service: nosuch"},
	} {
		if got := names(c.r); got != c.want {
			t.Errorf("%+v: %q, want %q", c.r, got, c.want)
		}
	}
	rows, err := w.c.List(t.Context(), false)
	if err != nil || len(rows) != 1 || rows[0].Status() != "exited(1), running(1)" || rows[0].ConfigFiles != "/app/compose.yaml" {
		t.Errorf("list %+v, %v", rows, err)
	}
	w.must(Stop, StopRequest{})
	if rows, err = w.c.List(t.Context(), false); err != nil || len(rows) != 0 {
		t.Errorf("list %+v, %v", rows, err)
	}
	if _, err := w.c.Find(t.Context(), "shop", "db", 0); err == nil || err.Error() != `service "db" is not running` {
		t.Errorf("find: %v", err)
	}
	if _, err := w.c.Find(t.Context(), "shop", "db", 3); err == nil || err.Error() != `service "db" is not running container #3` {
		t.Errorf("find: %v", err)
	}
	w.must(Start, StartRequest{})
	if c, err := w.c.Find(t.Context(), "shop", "db", 1); err != nil || c.Blueprint.Name != "shop-db-1" {
		t.Errorf("find: %v, %v", c.Blueprint.Name, err)
	}
}

func TestARefusedUpKeepsNothing(t *testing.T) {
	w := newWorld(t)
	ports := []model.Port{{Published: 8080, Target: 80, Protocol: "tcp"}}
	taken := shop()
	db := taken.Services["db"]
	db.Ports = ports
	taken.Services["db"] = db
	w.must(Up, UpRequest{Project: taken})
	other := &model.Project{Name: "other", Services: map[string]model.Service{"x": {Name: "x", Image: "here", Scale: 1, NetworkMode: "none", Ports: ports}}}
	op := w.operation(Up, UpRequest{Project: other})
	op.Project = "other"
	if result := w.run(op); result.Code != "port-taken" || result.Error != "port 8080/tcp is taken by container shop-db-1" {
		t.Errorf("result %+v", result)
	}
	if _, kept := w.store.records["other"]; kept {
		t.Error("the project was kept")
	}
}

// Two folders have one project's name: who goes down takes what is of its file,
// whichever was brought up last.
func TestDownTakesWhatIsOfTheCallersFile(t *testing.T) {
	w := newWorld(t)
	other := shop()
	other.WorkingDir = "/elsewhere"
	delete(other.Services, "web")
	w.must(Up, UpRequest{Project: shop()})
	w.must(Up, UpRequest{Project: other})
	w.must(Down, DownRequest{File: other.Outline(), Expected: true})
	w.wantStates("shop-web-1 running")
	w.must(Down, DownRequest{File: shop().Outline(), Expected: true, Services: []string{"web"}})
	w.wantStates("")
}
