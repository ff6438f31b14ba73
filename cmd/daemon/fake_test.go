package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// step is what the fake runner does for one kind of operation.
type step func(ctx context.Context, w Work, emit func(event.Event)) event.Result

// machine fakes compose and engine: scripted operations, containers with
// scripted logs, an exec that echoes.
type machine struct {
	mu         sync.Mutex
	steps      map[client.Kind]step
	runs       []string // kinds in the order begun
	containers []spec.Container
	exits      map[string]chan struct{} // closed when the container ends
	logs       map[string][]LogLine
	contents   map[string][]byte
	execs      map[string]net.Conn // the daemon's end of an exec's stdio
}

func newMachine() *machine {
	return &machine{
		steps: map[client.Kind]step{}, exits: map[string]chan struct{}{}, logs: map[string][]LogLine{},
		contents: map[string][]byte{}, execs: map[string]net.Conn{},
	}
}

func (m *machine) Run(ctx context.Context, w Work, emit func(event.Event)) event.Result {
	m.mu.Lock()
	m.runs = append(m.runs, string(w.Kind))
	f := m.steps[w.Kind]
	m.mu.Unlock()
	if f == nil {
		return event.Result{}
	}
	return f(ctx, w, emit)
}

func (m *machine) Recover(_ context.Context, unfinished []client.Operation) ([]client.Operation, error) {
	return unfinished, nil
}

func (m *machine) Recovered(context.Context) error { return nil }

func (m *machine) PruneContents(wanted map[string]bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.contents, func(digest string, _ []byte) bool { return !wanted[digest] })
	return nil
}

func (m *machine) begun() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.runs...)
}

func (m *machine) Projects(context.Context) (map[string]*model.Project, error) {
	return map[string]*model.Project{"kept": {Name: "kept", ComposeFiles: []string{"/app/compose.yaml"}, Services: map[string]model.Service{"web": {}, "db": {}}}}, nil
}

func (m *machine) Containers(_ context.Context, project string) ([]spec.Container, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []spec.Container
	for _, c := range m.containers {
		if project == "" || c.Blueprint.Project == project {
			out = append(out, c)
		}
	}
	return out, nil
}

func (m *machine) add(name, service string, state spec.State, lines ...LogLine) string {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.containers = append(m.containers, spec.Container{
		Blueprint: spec.Blueprint{ID: id, Name: name, Project: "shop", Labels: map[string]string{labelService: service, labelNumber: "1"}},
		Status:    spec.Status{State: state, ExitCode: 3},
	})
	m.exits[id] = make(chan struct{})
	m.logs[id] = lines
	return id
}

func (m *machine) StartContainer(context.Context, string) error               { return nil }
func (m *machine) RunHooks(context.Context, string, spec.Moment) error        { return nil }
func (m *machine) KillContainer(context.Context, string, string) error        { return nil }
func (m *machine) RemoveContainer(context.Context, string, spec.Remove) error { return nil }
func (m *machine) Volumes(context.Context) ([]spec.Volume, error) {
	return []spec.Volume{{Name: "v"}}, nil
}
func (m *machine) CreateVolume(_ context.Context, v spec.Volume) (spec.Volume, error) { return v, nil }
func (m *machine) Images(context.Context) ([]spec.Image, error)                       { return nil, nil }
func (m *machine) Features(context.Context) map[string]string {
	return map[string]string{"cgroup": "v2"}
}
func (m *machine) PruneRemains(context.Context) ([]string, error) {
	return []string{"/state/format.torn"}, nil
}
func (m *machine) Resize(context.Context, string, string, uint16, uint16) error { return nil }
func (m *machine) SignalExec(context.Context, string, string, string) error     { return nil }
func (m *machine) RemoveVolume(context.Context, string) error {
	return spec.Errorf(spec.ErrInUse, "cannot remove volume v: used by shop-web-1")
}

// PruneVolumes prunes one anonymous volume each of projects shop and idle.
func (m *machine) PruneVolumes(_ context.Context, prune func(spec.Volume) bool) (gone []string, errs []error, err error) {
	for _, project := range []string{"idle", "shop"} {
		if v := (spec.Volume{Name: "of-" + project, Project: project, Anonymous: true}); prune(v) {
			gone = append(gone, v.Name)
		}
	}
	return gone, nil, nil
}

func (m *machine) WaitContainer(ctx context.Context, id string, _ spec.Condition) (spec.Status, error) {
	m.mu.Lock()
	exit := m.exits[id]
	m.mu.Unlock()
	select {
	case <-exit:
		return spec.Status{State: spec.StateExited, ExitCode: 3}, nil
	case <-ctx.Done():
		return spec.Status{}, ctx.Err()
	}
}

func (m *machine) Exec(_ context.Context, e spec.Exec) (string, error) {
	if e.Args[0] != "cat" {
		return "", spec.Errorf(spec.ErrCommand, "cannot execute %s: not found", e.Args[0])
	}
	daemonEnd, process := net.Pipe()
	m.mu.Lock()
	m.execs[e.ID] = daemonEnd
	m.mu.Unlock()
	go func() { // ends with the pipe
		defer process.Close()
		data := make([]byte, 1024)
		for {
			n, err := process.Read(data)
			if err != nil || string(data[:n]) == "quit" {
				return
			}
			if _, err := process.Write(client.AppendFrame(nil, client.Stderr, 0, 0, data[:n])); err != nil {
				return
			}
		}
	}()
	return e.ID, nil
}

type pipe struct{ net.Conn }

func (p pipe) CloseWrite() error { _, err := p.Write([]byte("quit")); return err }

func (m *machine) Attach(_ context.Context, _, exec string, _ bool, _ *int64) (Stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	conn, ok := m.execs[exec]
	if !ok {
		return nil, spec.Errorf(spec.ErrNotFound, "no such exec: %s", exec)
	}
	return pipe{conn}, nil
}

func (m *machine) WaitExec(context.Context, string, string) (spec.ExecResult, error) {
	return spec.ExecResult{ExitCode: 7}, nil
}

func (m *machine) ReadLog(ctx context.Context, id string, q LogQuery, each func(LogLine) error) error {
	m.mu.Lock()
	lines := m.logs[id]
	m.mu.Unlock()
	for _, l := range lines {
		if err := each(l); err != nil {
			return err
		}
	}
	if q.Follow {
		select {
		case <-q.Done:
		case <-ctx.Done():
		}
	}
	return nil
}

func (m *machine) PutContent(content []byte) (string, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.contents[digest] = content
	return digest, nil
}

func (m *machine) HasContent(digest string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.contents[digest]
	return ok
}

// running is a daemon in this process.
type running struct {
	t     *testing.T
	place folder.Place
	stop  func()
}

func start(t *testing.T, place folder.Place, m *machine, build string) *running {
	t.Helper()
	s, err := store.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, Config{
			Store: s, Build: build, Version: "v0", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Parts: Parts{Runner: m, Keeper: m, Containers: m, Things: m, Processes: m, Logs: m, Contents: m, Host: m},
		})
	}()
	r := &running{t: t, place: place}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func newPlace(t *testing.T) folder.Place {
	t.Helper()
	place, err := store.Locate(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// dial returns a client that waits for a daemon somebody else starts.
func dial(t *testing.T, place folder.Place, build string) *client.Client {
	t.Helper()
	c := client.New(client.Config{RunDir: place.Run, Build: build, Ensure: func(context.Context) error { return nil }})
	t.Cleanup(c.Close)
	return c
}

func operationOf(kind client.Kind) client.Operation {
	return client.Operation{ID: client.NewID(), Kind: kind, Project: "shop", Request: []byte("{}")}
}

// patient bounds waits of tests; nothing is asserted about time.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if check() {
			return
		}
	}
	t.Fatal("never happened: " + what)
}

func container(i int) event.Event {
	return event.Event{ID: fmt.Sprintf("Container shop-web-%d", i), Status: event.Done, Text: "Started"}
}

var errStopped = errors.New("stopped")
