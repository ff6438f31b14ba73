package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"github.com/mycompose/mycompose/engine/wire"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/daemon"
	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// host is a machine whose daemon runs in this process over the Fake: the same
// commands, the same socket, the same operations, no containers.
type host struct {
	t        *testing.T
	place    folder.Place
	fake     *backend.Fake
	dir      string // of the project
	home     string
	contents sync.Map
	nets     nets

	mu    sync.Mutex // guards what follows
	stop  func()
	alive bool
}

func newHost(t *testing.T) *host {
	t.Helper()
	place, err := store.Locate(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, place: place, fake: backend.NewFake(), dir: filepath.Join(t.TempDir(), "shop"), home: t.TempDir()}
	h.fake.AddImage("busybox", spec.ImageConfig{Cmd: []string{"sh"}})
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	return h
}

// write makes a file in the project's folder.
func (h *host) write(name, content string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// Ensure implements Keeper: it starts the daemon unless it lives.
func (h *host) Ensure(context.Context, folder.Place) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive {
		return nil
	}
	s, err := store.Open(h.place)
	if err != nil {
		return err
	}
	build, err := client.BuildID()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	parts, _ := daemon.Join(s, h.fake, h, nil, "v1.2.3", log)
	parts.Things, parts.Processes, parts.Logs, parts.Host = h, h, h, h
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { // kill waits for it
		done <- daemon.Serve(ctx, daemon.Config{Store: s, Parts: parts, Build: build, Version: "v1.2.3", Log: log})
	}()
	h.alive = true
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	}
	return nil
}

// Replace implements Keeper; the daemon here is always of this build.
func (h *host) Replace(context.Context, folder.Place) error { return nil }

// Stop implements Keeper.
func (h *host) Stop(context.Context, folder.Place) error { h.kill(); return nil }

// Become implements Keeper; no process of a test becomes one.
func (h *host) Become(context.Context, folder.Place, func() error) error {
	return errors.New("no keeper here")
}

// Status implements Keeper.
func (h *host) Status(context.Context, folder.Place) (wire.KeeperStatusAnswer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.alive {
		return wire.KeeperStatusAnswer{}, fs.ErrNotExist
	}
	return wire.KeeperStatusAnswer{PID: 41, DaemonPID: 42, DaemonStarts: 1}, nil
}

// kill ends the daemon; operations at work stay without result.
func (h *host) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive {
		h.alive = false
		h.stop()
	}
}

// ended is how a command ended.
type ended struct {
	out, err string
	code     int
}

// run runs a command in the project's folder.
func (h *host) run(args ...string) ended {
	return h.runIn(h.dir, nil, args...)
}

func (h *host) runIn(dir string, interrupts chan os.Signal, args ...string) ended {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs lockedBuffer
	code := Run(ctx, Process{
		Args: args, Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Environment: []string{"HOME=" + h.home, "MYCOMPOSE_STATE_DIR=" + h.place.State, "MYCOMPOSE_RUN_ROOT=" + h.place.RunRoot},
		Catch:       func() (<-chan os.Signal, func()) { return interrupts, func() {} },
		Keeper:      h, Version: "v1.2.3",
	})
	if ctx.Err() != nil {
		h.t.Errorf("%v took a minute", args)
	}
	return ended{out.String(), errs.String(), code}
}

// must runs a command that has to end well.
func (h *host) must(args ...string) ended {
	h.t.Helper()
	o := h.run(args...)
	if o.code != 0 {
		h.t.Fatalf("%v ended with %d:\n%s%s", args, o.code, o.out, o.err)
	}
	return o
}

// lockedBuffer is a bytes.Buffer for many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What follows is what the Fake has not: logs, execs, contents.

func (h *host) Volumes(ctx context.Context) ([]spec.Volume, error) { return h.fake.Volumes(ctx) }
func (h *host) CreateVolume(ctx context.Context, v spec.Volume) (spec.Volume, error) {
	return h.fake.CreateVolume(ctx, v)
}

func (h *host) RemoveVolume(ctx context.Context, name string) error {
	return h.fake.RemoveVolume(ctx, name)
}
func (h *host) PruneVolumes(context.Context, func(spec.Volume) bool) (gone []string, errs []error, err error) {
	return nil, nil, nil
}
func (h *host) RemoveImage(ctx context.Context, reference string) error {
	return h.fake.RemoveImage(ctx, reference)
}
func (h *host) Images(context.Context) ([]spec.Image, error) {
	return []spec.Image{{Digest: "sha256:" + strings.Repeat("ab", 32), Names: []string{"busybox:latest"}}}, nil
}
func (h *host) PruneRemains(context.Context) ([]string, error) {
	return []string{"/state/format.torn"}, nil
}
func (h *host) Features(context.Context) map[string]string { return map[string]string{"cgroup": "v2"} }

func (h *host) Exec(_ context.Context, e spec.Exec) (string, error) {
	if e.Args[0] == "nosuch" {
		return "", spec.Errorf(spec.ErrCommand, "cannot execute nosuch: executable file not found in $PATH")
	}
	return e.ID, nil
}

// echo is an exec's stdio: it says one line on each stream and ends.
type echo struct{ io.Reader }

func (echo) Write(p []byte) (int, error) { return len(p), nil }
func (echo) Close() error                { return nil }
func (echo) CloseWrite() error           { return nil }

func (h *host) Attach(context.Context, string, string, bool, *int64) (daemon.Stream, error) {
	frames := client.AppendFrame(nil, client.Stdout, 0, 0, []byte("to out\n"))
	return echo{bytes.NewReader(client.AppendFrame(frames, client.Stderr, 0, 0, []byte("to err\n")))}, nil
}

func (h *host) WaitExec(context.Context, string, string) (spec.ExecResult, error) {
	return spec.ExecResult{ExitCode: 7}, nil
}
func (h *host) Resize(context.Context, string, string, uint16, uint16) error { return nil }
func (h *host) SignalExec(context.Context, string, string, string) error     { return nil }
func (h *host) PruneContents(map[string]bool) error                          { return nil }

func (h *host) ReadLog(ctx context.Context, id string, q daemon.LogQuery, each func(daemon.LogLine) error) error {
	containers, err := h.fake.Containers(ctx, "")
	if err != nil {
		return err
	}
	for i, c := range containers {
		if c.Blueprint.ID == id {
			line := daemon.LogLine{Time: time.Unix(int64(i), 0), Stream: client.Stdout, Data: []byte("hello from " + c.Blueprint.Name)}
			if err := each(line); err != nil {
				return err
			}
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

func (h *host) PutContent(content []byte) (string, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	h.contents.Store(digest, true)
	return digest, nil
}

func (h *host) HasContent(digest string) bool {
	_, ok := h.contents.Load(digest)
	return ok
}
