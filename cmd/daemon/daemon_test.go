package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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

func TestOneOperationAtATimeWritesAProject(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	release := make(chan struct{})
	m.steps[client.Restart] = func(context.Context, Work, func(event.Event)) event.Result { <-release; return event.Result{} }
	start(t, place, m, "a")
	c := dial(t, place, "a")
	first := submit(t, c, client.Restart)
	second := submit(t, c, client.Up)
	dry := operationOf(client.Up)
	dry.DryRun = true
	if err := c.StartOperation(patient(t), dry); err != nil {
		t.Fatal(err)
	}
	follow(t, c, dry.ID) // waits for nobody
	eventually(t, "both begin", func() bool { return len(m.begun()) == 2 })
	if got := slices.Sorted(slices.Values(m.begun())); !slices.Equal(got, []string{"restart", "up"}) {
		t.Errorf("began %v", got)
	}
	close(release)
	follow(t, c, first.ID)
	lines, _ := follow(t, c, second.ID)
	if !slices.Equal(lines, []string{"Project shop Waiting for restart of shop"}) {
		t.Errorf("got %q", lines)
	}
}

func TestDownCancelsARunningAndAWaitingUpAndSaysSo(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
		<-ctx.Done()
		return event.Result{}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	first, second := submit(t, c, client.Up), submit(t, c, client.Up)
	eventually(t, "the first begins", func() bool { return len(m.begun()) == 1 })
	down := submit(t, c, client.Down)
	lines, _ := follow(t, c, down.ID)
	if !slices.Contains(lines, "Project shop Canceling up of shop") {
		t.Errorf("got %q", lines)
	}
	for _, op := range []client.Operation{first, second} {
		if _, r := follow(t, c, op.ID); r.Canceled != "down" || r.ExitCode != 130 {
			t.Errorf("got %+v", r)
		}
	}
	if got := m.begun(); !slices.Equal(got, []string{"up", "down"}) {
		t.Errorf("began %v", got)
	}
}

func TestAKillCancelsWhatTakesDownAndAnotherSignalDoesNot(t *testing.T) {
	for _, kind := range []client.Kind{client.Stop, client.Down, client.Remove} {
		m, place := newMachine(), newPlace(t)
		m.steps[kind] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
			<-ctx.Done()
			return event.Result{}
		}
		start(t, place, m, "a")
		c := dial(t, place, "a")
		hangs := submit(t, c, kind)
		eventually(t, "it begins", func() bool { return len(m.begun()) == 1 })
		hup := operationOf(client.Kill)
		hup.Request = []byte(`{"signal":"HUP"}`)
		if err := c.StartOperation(patient(t), hup); err != nil {
			t.Fatal(err)
		}
		kill := submit(t, c, client.Kill)
		lines, _ := follow(t, c, hup.ID)
		if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "Canceling") }) {
			t.Errorf("HUP: got %q", lines)
		}
		lines, _ = follow(t, c, kill.ID)
		if want := fmt.Sprintf("Project shop Canceling %s of shop", kind); !slices.Contains(lines, want) {
			t.Errorf("got %q, want %q", lines, want)
		}
		if _, r := follow(t, c, hangs.ID); r.Canceled != "kill" || r.ExitCode != 130 {
			t.Errorf("got %+v", r)
		}
	}
}

func TestCancelIsARequestAndNotAClosedConnection(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.steps[client.Up] = func(ctx context.Context, _ Work, _ func(event.Event)) event.Result {
		<-ctx.Done()
		return event.Result{}
	}
	start(t, place, m, "a")
	c := dial(t, place, "a")
	op := submit(t, c, client.Up)
	ctx, leave := context.WithCancel(patient(t))
	leave()
	if _, err := c.Follow(ctx, op.ID, func(event.Event) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s, err := c.Operation(patient(t), op.ID); err != nil || s.Result != nil {
		t.Errorf("got %+v, %v", s.Result, err)
	}
	if err := c.Cancel(patient(t), op.ID, "Ctrl-C"); err != nil {
		t.Fatal(err)
	}
	if _, r := follow(t, c, op.ID); r.Canceled != "Ctrl-C" {
		t.Errorf("got %+v", r)
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

func TestLogsOfSeveralContainersAreMergedByTime(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	at := func(n int64) time.Time { return time.Unix(0, n) }
	m.add("shop-b-1", "b", spec.StateExited, LogLine{Time: at(2), Stream: 1, Data: []byte("two")}, LogLine{Time: at(4), Stream: 2, Data: []byte("four")})
	m.add("shop-a-1", "a", spec.StateExited, LogLine{Time: at(1), Stream: 1, Data: []byte("one")}, LogLine{Time: at(3), Stream: 1, Data: []byte("three")}, LogLine{Time: at(5), Stream: 1, Data: []byte("five")})
	start(t, place, m, "a")
	c := dial(t, place, "a")
	lines, _ := readLogs(t, c, client.LogRequest{Project: "shop", Tail: -1})
	if want := []string{"a-1:one", "b-1:two", "a-1:three", "b-1:four", "a-1:five"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	lines, _ = readLogs(t, c, client.LogRequest{Project: "shop", Services: []string{"b"}, Tail: -1})
	if want := []string{"b-1:two", "b-1:four"}; !slices.Equal(lines, want) {
		t.Errorf("got %q", lines)
	}
}

func readLogs(t *testing.T, c *client.Client, q client.LogRequest) (lines []string, exited []string) {
	t.Helper()
	stream, err := c.Logs(patient(t), q)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	names := map[uint16]string{}
	for frames := client.NewFrameReader(stream); ; {
		f, err := frames.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Stream != client.Noted {
			_, line, err := f.LogLine()
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, names[f.Source]+":"+string(line))
			continue
		}
		note, err := f.Note()
		if err != nil {
			t.Fatal(err)
		}
		if note.Over {
			return lines, exited
		}
		if note.Name != "" {
			names[f.Source] = note.Name
		}
		if note.Exited {
			exited = append(exited, names[f.Source])
		}
	}
}

func TestAFollowEndsWithTheLastContainerAndTellsItsEnd(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	a := m.add("shop-a-1", "a", spec.StateRunning, LogLine{Time: time.Unix(1, 0), Stream: 1, Data: []byte("hello")})
	m.add("shop-b-1", "b", spec.StateExited, LogLine{Time: time.Unix(2, 0), Stream: 1, Data: []byte("gone")})
	start(t, place, m, "a")
	c := dial(t, place, "a")
	time.AfterFunc(50*time.Millisecond, func() { close(m.exits[a]) })
	lines, exited := readLogs(t, c, client.LogRequest{Project: "shop", Tail: -1, Follow: true})
	if !slices.Equal(lines, []string{"a-1:hello", "b-1:gone"}) || !slices.Equal(exited, []string{"a-1"}) {
		t.Errorf("got %q, %q", lines, exited)
	}
}

func TestExecBytesPassBothWaysAndStdinsEndArrives(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	start(t, place, m, "a")
	c := dial(t, place, "a")
	id := client.NewID()
	stream, err := c.Exec(patient(t), spec.Exec{ID: id, Container: "x", Args: []string{"cat"}, Stdin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	frames := client.NewFrameReader(stream)
	f, err := frames.Read()
	if err != nil || string(f.Data) != "hello" || f.Stream != client.Stderr {
		t.Errorf("got %+v, %v", f, err)
	}
	if err := stream.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := frames.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if r, err := c.WaitExec(patient(t), "x", id); err != nil || r.ExitCode != 7 {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := c.Exec(patient(t), spec.Exec{ID: client.NewID(), Container: "x", Args: []string{"nope"}}); !errors.Is(err, spec.ErrCommand) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsKeepTheirKindOverTheSocket(t *testing.T) {
	place := newPlace(t)
	start(t, place, newMachine(), "a")
	c := dial(t, place, "a")
	if err := c.RemoveVolume(patient(t), "v"); !errors.Is(err, spec.ErrInUse) || !strings.Contains(err.Error(), "used by shop-web-1") {
		t.Errorf("got %v", err)
	}
	if err := c.RemoveVolume(patient(t), "w"); !errors.Is(err, spec.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := c.StartOperation(patient(t), client.Operation{ID: "../../etc", Kind: client.Up}); !errors.Is(err, spec.ErrInvalid) {
		t.Errorf("got %v", err)
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

func TestAnIdleDaemonOfAnotherBuildIsReplacedAndABusyOneServes(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	release := make(chan struct{})
	m.steps[client.Restart] = func(context.Context, Work, func(event.Event)) event.Result { <-release; return event.Result{} }
	old := start(t, place, m, "old")
	c := dial(t, place, "new")
	replaced := 0
	replace := func(context.Context) error {
		replaced++
		old.stop()
		start(t, place, m, "new")
		return nil
	}
	op := submit(t, c, client.Restart)
	if err := c.Greet(patient(t), replace, func(string) {}); err != nil || replaced != 0 {
		t.Errorf("a busy daemon was replaced %d times, %v", replaced, err)
	}
	close(release)
	follow(t, c, op.ID)
	eventually(t, "it is idle", func() bool {
		i, err := c.Info(patient(t))
		return err == nil && len(i.Operations) == 0
	})
	if err := c.Greet(patient(t), replace, func(string) {}); err != nil || replaced != 1 {
		t.Errorf("replaced %d times, %v", replaced, err)
	}
	if c.Peer().Build != "new" {
		t.Errorf("got %+v", c.Peer())
	}
}

func TestTheFirstAnswerIsTheGreeting(t *testing.T) {
	for _, first := range []string{"GET", "POST"} {
		m, place := newMachine(), newPlace(t)
		m.add("shop-web-1", "a", spec.StateRunning)
		m.containers[0].Blueprint.Labels = map[string]string{labelService: "web"}
		old := start(t, place, m, "old")
		replaced := 0
		c := client.New(client.Config{
			RunDir: place.Run, Build: "new", Ensure: func(context.Context) error { return nil },
			Waiting: func(text string) { t.Errorf("waits for %s", text) },
			Replace: func(context.Context) error {
				replaced++
				old.stop()
				start(t, place, m, "new")
				return nil
			},
		})
		defer c.Close()
		if first == "POST" {
			if _, r := follow(t, c, submit(t, c, client.Restart).ID); r.Error != "" || !slices.Equal(m.begun(), []string{"restart"}) {
				t.Errorf("got %+v after %v", r, m.begun())
			}
		}
		for service, n := range map[string]int{"web": 1, "nosuch": 0} {
			if got, err := c.ServiceContainers(patient(t), "", service); err != nil || len(got) != n {
				t.Errorf("%s: %v of %s, %v", first, got, service, err)
			}
		}
		if replaced != 1 || c.Peer().Build != "new" {
			t.Errorf("%s: replaced %d times, served by %+v", first, replaced, c.Peer())
		}
	}
}

func TestTheSocketIsTheOwnersOnly(t *testing.T) {
	place := newPlace(t)
	start(t, place, newMachine(), "a")
	c := dial(t, place, "a")
	if _, err := c.Info(patient(t)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(place.Socket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket is %v, %v", info, err)
	}
	if info, err = os.Stat(place.Run); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder is %v, %v", info, err)
	}
}

func TestSystemStopRefusesWhileContainersRun(t *testing.T) {
	m, place := newMachine(), newPlace(t)
	m.add("shop-a-1", "a", spec.StateRunning)
	start(t, place, m, "a")
	c := dial(t, place, "a")
	a, err := c.SystemStop(patient(t), client.SystemStop{})
	if err != nil || !slices.Equal(a.Running, []string{"shop-a-1"}) {
		t.Errorf("got %+v, %v", a, err)
	}
	a, err = c.SystemStop(patient(t), client.SystemStop{All: true})
	if err != nil || !slices.Equal(a.Stopped, []string{"shop-a-1"}) || !slices.Equal(m.begun(), []string{"stop"}) {
		t.Errorf("got %+v, %v after %v", a, err, m.begun())
	}
}
