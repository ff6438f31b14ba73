package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

func submit(t *testing.T, c *client.Client, kind client.Kind) client.Operation {
	t.Helper()
	op := operationOf(kind)
	if err := c.StartOperation(patient(t), op); err != nil {
		t.Fatal(err)
	}
	return op
}

func follow(t *testing.T, c *client.Client, id string) (lines []string, r event.Result) {
	t.Helper()
	r, err := c.Follow(patient(t), id, func(e event.Event) {
		if e.Kind != event.KindResult {
			lines = append(lines, strings.TrimSpace(e.ID+" "+e.Text+" "+e.Details))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, r
}

func TestAnOperationTellsItsEventsAndItsResult(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(_ context.Context, _ Work, emit func(event.Event)) event.Result {
		emit(container(1))
		emit(container(2))
		return event.Result{ExitCode: 1, Error: "port is taken", Code: "port-taken"}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	if err := c.StartOperation(patient(t), op); err != nil { // the same again
		t.Fatal(err)
	}
	for range 2 { // a second follower gets all of it too
		lines, result := follow(t, c, op.ID)
		if !slices.Equal(lines, []string{"Container shop-web-1 Started", "Container shop-web-2 Started"}) {
			t.Errorf("got %q", lines)
		}
		if result.ExitCode != 1 || result.Code != "port-taken" {
			t.Errorf("got %+v", result)
		}
	}
	if got := m.begun(); len(got) != 1 {
		t.Errorf("ran %v", got)
	}
}

func TestAnInterruptedOperationIsFinishedByTheNextDaemonAndItsClientGetsTheResult(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	begun := make(chan struct{})
	m.steps[client.Up] = func(ctx context.Context, w Work, emit func(event.Event)) event.Result {
		if !w.Resumed {
			emit(container(1))
			close(begun)
			<-ctx.Done()
			return event.Result{Error: errStopped.Error(), ExitCode: 9}
		}
		emit(container(2))
		return event.Result{ExitCode: 4}
	}
	first := start(t, place, m, "a")
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	type outcome struct {
		lines  []string
		result event.Result
	}
	got := make(chan outcome, 1)
	go func() {
		lines, result := follow(t, c, op.ID)
		got <- outcome{lines, result}
	}()
	<-begun
	first.stop()
	start(t, place, m, "a")
	o := <-got
	if !slices.Equal(o.lines, []string{"Container shop-web-1 Started", "Container shop-web-2 Started"}) || o.result.ExitCode != 4 {
		t.Errorf("got %+v", o)
	}
}

func TestAResultSurvivesTheDaemon(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(context.Context, Work, func(event.Event)) event.Result { return event.Result{ExitCode: 5} }
	first := start(t, place, m, "a")
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	follow(t, c, op.ID)
	first.stop()
	start(t, place, m, "a")
	if _, result := follow(t, c, op.ID); result.ExitCode != 5 || len(m.begun()) != 1 {
		t.Errorf("got %+v after %v", result, m.begun())
	}
}

// A result that a full disk did not take: what came after it in the project
// says that the operation has ended.
func TestAnOperationBehindWhichAnotherHasBegunIsNotDoneAgain(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	for _, kind := range []client.Kind{client.Up, client.Down} {
		m.steps[kind] = func(_ context.Context, _ Work, emit func(event.Event)) event.Result {
			emit(container(1))
			return event.Result{}
		}
	}
	first := start(t, place, m, "a")
	c := dial(t, place, "a")
	up := submit(t, c, client.Up)
	follow(t, c, up.ID)
	follow(t, c, submit(t, c, client.Down).ID)
	first.stop()
	path := filepath.Join(place.State, "projects", "shop", "operations", up.ID+".events")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(bytes.IndexByte(raw, '\n')+1)); err != nil {
		t.Fatal(err)
	}
	start(t, place, m, "a")
	follow(t, c, submit(t, c, client.Down).ID) // behind what was resumed
	if got := m.begun(); len(got) != 3 {
		t.Errorf("begun are %v", got)
	}
}

func TestATornLastEventIsCutOff(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	first := start(t, place, m, "a")
	block := make(chan struct{})
	m.steps[client.Up] = func(ctx context.Context, w Work, emit func(event.Event)) event.Result {
		if w.Resumed {
			emit(container(2))
			return event.Result{}
		}
		emit(container(1))
		close(block)
		<-ctx.Done()
		return event.Result{}
	}
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	<-block
	first.stop()
	path := filepath.Join(place.State, "projects", "shop", "operations", op.ID+".events")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"sequence":2,"ki`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	start(t, place, m, "a")
	lines, _ := follow(t, c, op.ID)
	if !slices.Equal(lines, []string{"Container shop-web-1 Started", "Container shop-web-2 Started"}) {
		t.Errorf("got %q", lines)
	}
}

func TestAKeptModelIsFoundByItsFingerprintAndSecretsStayOutOfTheRecord(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	var models []*model.Project
	m.steps[client.Up] = func(_ context.Context, w Work, _ func(event.Event)) event.Result {
		models = append(models, w.Model)
		return event.Result{}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	secret := []byte("very secret words")
	digest, _ := newMachine().PutContent(secret)
	data, err := model.Encode(&model.Project{Name: "shop", Services: map[string]model.Service{"web": {Name: "web", Image: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	key := strings.Repeat("ab", 32)
	op := operationOf(client.Up)
	op.Input = &client.Input{
		Key: key, Fingerprint: "f1", Inputs: json.RawMessage(`{"files":{}}`), Model: data,
		Contents: map[string][]byte{digest: secret}, Warnings: []string{"version is obsolete"},
	}
	if err := c.StartOperation(patient(t), op); err != nil {
		t.Fatal(err)
	}
	follow(t, c, op.ID)
	kept, err := c.KeptInput(patient(t), key)
	if err != nil || kept.Fingerprint != "f1" || kept.Project != "shop" || len(kept.Warnings) != 1 {
		t.Errorf("got %+v, %v", kept, err)
	}
	again := operationOf(client.Up)
	again.Input = &client.Input{Key: key, Fingerprint: "f1"}
	if err := c.StartOperation(patient(t), again); err != nil {
		t.Fatal(err)
	}
	follow(t, c, again.ID)
	if len(models) != 2 || models[0] == nil || !reflect.DeepEqual(models[0], models[1]) {
		t.Errorf("got %v", models)
	}
	stale := operationOf(client.Up)
	stale.Input = &client.Input{Key: key, Fingerprint: "f2"}
	if err := c.StartOperation(patient(t), stale); !errors.Is(err, spec.ErrNotFound) {
		t.Errorf("an unknown fingerprint was answered with %v", err)
	}
	err = filepath.WalkDir(place.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "very secret") || strings.Contains(string(data), "dmVyeSBzZWNyZXQ") {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestProjectsAreThoseWithContainersAndThoseKept(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.add("shop-a-1", "a", spec.StateRunning)
	start(t, place, m, "a")
	c := dial(t, place, "a")
	got, err := c.Projects(patient(t))
	if err != nil || len(got) != 2 || got[0].Name != "kept" || got[1].States[spec.StateRunning] != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if names, err := c.ProjectServices(patient(t), "kept"); err != nil || !slices.Equal(names, []string{"db", "web"}) {
		t.Errorf("got %v, %v", names, err)
	}
}
