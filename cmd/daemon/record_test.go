package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/store"
)

// A stop in the middle of forgetting an ended operation must not make it one
// that never ran.
func TestAHalfForgottenOperationIsNotDoneAgain(t *testing.T) {
	s, err := store.Open(newPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	r := records{s}
	op := client.Operation{ID: client.NewID(), Kind: client.Up, Project: "shop"}
	events, err := r.put(op)
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(event.Event{Sequence: 1, Kind: event.KindResult, Result: &event.Result{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	events.Close()
	path := r.eventsPath(op)
	if err := os.Rename(strings.TrimSuffix(path, eventsSuffix)+".json", path); err != nil { // and then the stop
		t.Fatal(err)
	}
	if found, err := r.all(); err != nil || len(found) != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := r.put(op); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.remove(op); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(s.State, "projects", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What has ended is known by its last line; its events are read when somebody asks.
func TestTheEventsOfAnEndedOperationAreReadOnDemand(t *testing.T) {
	s, err := store.Open(newPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	r := records{s}
	const first = `{"sequence":1,"kind":"resource","id":"Network a","text":"Created"}` + "\n"
	const result = `{"sequence":%d,"kind":"result","result":{"exitCode":7}}` + "\n"
	for name, c := range map[string]struct {
		lines string
		ended bool
		told  int // events of what is read
	}{
		"ended":                         {first + fmt.Sprintf(result, 2), true, 2},
		"result alone":                  {fmt.Sprintf(result, 1), true, 1},
		"a line that is no JSON":        {"{torn}\n" + fmt.Sprintf(result, 2), true, 1},
		"a line is missing":             {first + fmt.Sprintf(result, 3), false, 1},
		"result without its line's end": {first + strings.TrimSpace(fmt.Sprintf(result, 2)), false, 1},
		"no result":                     {first, false, 1},
		"nothing":                       {"", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			op := client.Operation{ID: client.NewID(), Kind: client.Up, Project: "shop"}
			file, err := r.put(op)
			if err != nil {
				t.Fatal(err)
			}
			_, err = file.WriteString(c.lines)
			if err := errors.Join(err, file.Close()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = r.remove(op) })
			all, err := r.all()
			if err != nil || len(all) != 1 || (all[0].result != nil) != c.ended {
				t.Fatalf("found %+v, %v", all, err)
			}
			if !c.ended {
				if len(all[0].events) != c.told {
					t.Errorf("events %+v", all[0].events)
				}
				return
			}
			ended := endedOperation(op, *all[0].result, r, slog.New(slog.DiscardHandler))
			if got := ended.status(); got.Result == nil || got.Result.ExitCode != 7 || got.Last != all[0].result.Sequence {
				t.Errorf("status %+v", got)
			}
			events, more := ended.from(1)
			if len(events) != c.told || more != nil || events[len(events)-1].Result == nil {
				t.Errorf("events %+v, more %v", events, more)
			}
		})
	}
}

// One project that cannot be read keeps nobody from the others.
func TestADamagedProjectIsNamedAndTheOthersGoOn(t *testing.T) {
	s, err := store.Open(newPlace(t))
	if err != nil {
		t.Fatal(err)
	}
	p := projects{store: s, recent: &recent[compose.Record]{}}
	for _, name := range []string{"good", "torn", "newer"} {
		if err := s.Put(store.Project, name, map[string]string{"name": name}, store.Cached); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.State, "projects", "torn", "project.json"), make([]byte, 40), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := store.Project
	newer.Version = 9
	if err := s.Put(newer, "newer", "what ever", store.Cached); err != nil {
		t.Fatal(err)
	}
	all, err := p.ListProjects(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "good" {
		t.Errorf("projects %+v, %v", all, err)
	}
	if _, err := p.LoadProject(t.Context(), "newer"); err == nil || !strings.Contains(err.Error(), "project newer: a newer mycompose wrote it (format 9, this one reads up to 1)") {
		t.Errorf("the newer one: %v", err)
	}
	notices := strings.Join(s.Notices(), "\n")
	for _, want := range []string{"project newer", "projects/torn/project.json was damaged"} {
		if !strings.Contains(notices, want) {
			t.Errorf("%q is not in %s", want, notices)
		}
	}
}
