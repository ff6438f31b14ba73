package compose

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestAnInterruptedOperationEndsAsItWouldHave(t *testing.T) {
	died := errors.New("the daemon died")
	for _, kind := range []Kind{Up, Restart, Run, Down} {
		t.Run(string(kind), func(t *testing.T) {
			for k := 0; ; k++ {
				w := newWorld(t)
				w.must(Up, UpRequest{Project: shop()})
				var op Operation
				switch kind {
				case Up:
					op = w.operation(kind, UpRequest{Project: shop(), ForceRecreate: true})
				case Restart:
					op = w.operation(kind, RestartRequest{})
				case Run:
					op = w.operation(kind, RunRequest{Project: shop(), Run: state.Run{Service: "web", Start: true}})
				case Down:
					op = w.operation(kind, DownRequest{})
				}
				before, calls := len(w.fake.Calls()), 0
				w.fake.Fail = func(backend.Call) error {
					if calls++; calls > k {
						return died
					}
					return nil
				}
				first := w.run(op)
				w.fake.Fail = nil
				todo, err := w.c.Recover(t.Context(), []Operation{op}, false, Damage{})
				if err != nil || len(todo) != 1 || !todo[0].Resumed {
					t.Fatalf("recover: %v, %v", todo, err)
				}
				result := w.run(todo[0])
				if result.Error != "" {
					t.Fatalf("after step %d: %+v", k, result)
				}
				starts := 0
				for _, c := range w.fake.Calls()[before:] {
					if c.Operation == "start" {
						starts++
					}
				}
				switch want := map[Kind]int{Up: 2, Restart: 2, Run: 1}[kind]; {
				case starts != want:
					t.Errorf("after step %d: %d starts, want %d", k, starts, want)
				case kind == Run && len(result.Output) != 64:
					t.Errorf("after step %d: output %q", k, result.Output)
				}
				if first.Error == "" {
					break
				}
			}
		})
	}
}

func TestABootStartsInOrderWhatWasMeantToRun(t *testing.T) {
	w := newWorld(t)
	w.must(Up, UpRequest{Project: shop()})
	w.fake.Reboot()
	w.wantStates("shop-db-1 exited, shop-web-1 exited")
	todo, err := w.c.Recover(t.Context(), nil, true, Damage{})
	if err != nil || len(todo) != 1 || todo[0].Kind != Boot {
		t.Fatalf("recover: %+v, %v", todo, err)
	}
	before := len(w.fake.Calls())
	if result := w.run(todo[0]); result.Error != "" {
		t.Fatal(result)
	}
	w.wantStates("shop-db-1 running, shop-web-1 running")
	if first := w.fake.Calls()[before]; first.Target != "shop-db-1" {
		t.Errorf("first %v", first)
	}
	w.must(Stop, StopRequest{})
	w.fake.Reboot()
	w.run(todo[0])
	w.wantStates("shop-db-1 running, shop-web-1 exited") // always, unless-stopped
}

func TestRecoverOrdersBootsAndOperations(t *testing.T) {
	w := newWorld(t)
	w.must(Up, UpRequest{Project: shop()})
	todo, err := w.c.Recover(t.Context(), []Operation{{ID: "u", Kind: Up, Project: "shop"}, {ID: "b", Kind: Boot, Project: "shop"}, {ID: "d", Kind: Stop, Project: "shop"}}, true, Damage{})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []Kind
	for _, op := range todo {
		kinds = append(kinds, op.Kind)
	}
	if !slices.Equal(kinds, []Kind{Stop, Boot, Up}) {
		t.Errorf("order %v", kinds)
	}
}

func TestARunBringsUpWhatItNeedsAndGoesWhenItHasEnded(t *testing.T) {
	w := newWorld(t)
	op := w.operation(Run, RunRequest{Project: shop(), Run: state.Run{Service: "web", Command: []string{"exit", "3"}, Remove: true}})
	result := w.run(op)
	if result.Error != "" || len(result.Output) != 64 || !slices.Equal(result.Started, []string{result.Output}) {
		t.Fatalf("result %+v", result)
	}
	list, err := w.fake.Containers(t.Context(), "shop")
	if err != nil || len(list) != 2 || !strings.HasPrefix(list[1].Blueprint.Name, "shop-web-run-") || list[1].Status.State != spec.StateCreated {
		t.Fatalf("containers %s, %v", w.states(), err)
	}
	if err := w.c.Reap(t.Context(), "shop"); err != nil || !strings.Contains(w.states(), "shop-web-run-") {
		t.Fatalf("a container that has not run was reaped: %v", err)
	}
	if err := w.fake.StartContainer(t.Context(), result.Output); err != nil { // what the client does once it is attached
		t.Fatal(err)
	}
	if err := w.c.Reap(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	w.wantStates("shop-db-1 running")
	w.must(Up, UpRequest{Project: shop()})
	w.wantStates("shop-db-1 running, shop-web-1 running")
}

// What a power failure tore is made anew from the kept model; what a user had
// stopped stays stopped, and lost replicas get their numbers back.
func TestWhatIsLostIsMadeAnewFromTheModel(t *testing.T) {
	for _, booted := range []bool{true, false} {
		t.Run(map[bool]string{true: "after a boot", false: "without a boot"}[booted], func(t *testing.T) {
			w := newWorld(t)
			p := shop()
			idle := p.Services["web"]
			idle.Name, idle.DependsOn = "idle", nil
			p.Services["idle"] = idle
			w.must(Up, UpRequest{Project: p, Scale: map[string]int{"web": 3}})
			w.must(Stop, StopRequest{Services: []string{"idle"}})
			list, err := w.fake.Containers(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				if name := c.Blueprint.Name; name == "shop-web-2" || name == "shop-db-1" {
					if err := w.fake.RemoveContainer(t.Context(), c.Blueprint.ID, spec.Remove{Force: true}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if booted {
				w.fake.Reboot()
			}
			damage := Damage{Found: true, Lost: map[string][]string{"shop": {"db-1", "web-2", "web-run-0abc", "gone-1"}}}
			todo, err := w.c.Recover(t.Context(), nil, booted, damage)
			if err != nil || len(todo) != 1 || todo[0].Kind != Boot {
				t.Fatalf("recover: %+v, %v", todo, err)
			}
			todo[0].StartedAt = w.fake.Now()
			if result := w.run(todo[0]); result.Error != "" {
				t.Fatal(result)
			}
			w.wantStates("shop-db-1 running, shop-idle-1 exited, shop-web-1 running, shop-web-2 running, shop-web-3 running")
			before := len(w.fake.Calls())
			if result := w.run(todo[0]); result.Error != "" {
				t.Fatal(result)
			}
			for _, c := range w.fake.Calls()[before:] {
				if c.Operation == "create" || c.Operation == "start" {
					t.Errorf("once more: %v", c)
				}
			}
		})
	}
}
