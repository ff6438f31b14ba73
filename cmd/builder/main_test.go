package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// host is a daemon that remembers names and gives out empty networks.
type host struct {
	t     *testing.T
	mu    sync.Mutex
	names map[string]string
}

func (h *host) Resolve(_ context.Context, reference string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[reference], nil
}

func (h *host) Keep(_ context.Context, r image.Result) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range r.Names {
		h.names[n.Reference] = n.Digest
	}
	return nil
}

func (h *host) OpenSandbox(_ context.Context, r image.SandboxRequest) (image.Sandbox, *os.File, error) {
	namespace, err := os.Open("/proc/self/ns/net") // reading a file of the test needs no network of its own
	return image.Sandbox{ID: r.ID}, namespace, err
}

func (h *host) CloseSandbox(context.Context, string) error { return nil }

// process is a builder that runs.
type process struct {
	*image.Client
	cmd  *exec.Cmd
	done chan struct{}
}

// programDir holds the builder and the small program, built at first use.
var programDir struct {
	sync.Once
	path string
	err  error
}

func programs() (string, error) {
	programDir.Do(func() {
		if programDir.path, programDir.err = os.MkdirTemp("", "builder-"); programDir.err != nil {
			return
		}
		for name, source := range map[string]string{
			"builder": "cmd/builder", "small": "engine/spawn/testdata/small",
		} {
			if err := kerneltest.Build(filepath.Join(programDir.path, name), source, ""); err != nil {
				programDir.err = err
			}
		}
	})
	return programDir.path, programDir.err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programDir.path != "" {
		os.RemoveAll(programDir.path)
	}
	os.Exit(code)
}

func startBuilder(t *testing.T, h *host, state string) *process {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(filepath.Join(dir, "small"))
	if err != nil {
		t.Fatal(err)
	}
	small, err := wire.SealProgram(bytes.NewReader(code), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(theirs), "builder")
	defer far.Close()
	conn, err := wire.NewConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Client: image.NewClient(conn, h), cmd: exec.Command(filepath.Join(dir, "builder")), done: make(chan struct{})}
	p.cmd.Args[0] = "mycompose-builder"
	p.cmd.Env = []string{folder.StateDirVariable + "=" + state, "PATH="}
	p.cmd.ExtraFiles = []*os.File{far, small}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.Serve(context.Background()) // ends with the process
	}()
	t.Cleanup(func() {
		p.Close()
		p.cmd.Process.Kill() // an error means that it has ended
		p.cmd.Wait()
		<-p.done
	})
	return p
}

// busyboxRoot is a root file system as a tar.
func busyboxRoot(t *testing.T) *os.File {
	t.Helper()
	program, err := os.ReadFile(kerneltest.NeedProgram(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "root.tar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	w := tar.NewWriter(file)
	w.WriteHeader(&tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(program))})
	w.Write(program)
	for _, name := range []string{"sh", "sleep", "echo"} {
		w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox"})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestABuilderThatIsKilledAndStartedAgain(t *testing.T) {
	kerneltest.NeedRoot(t)
	state := t.TempDir()
	place, err := store.Locate(state, "")
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.NoLeaks(t, place.Tag)
	h := &host{t: t, names: map[string]string{}}
	first := startBuilder(t, h, state)
	base, err := first.Import(t.Context(), image.ImportRequest{Reference: "base"}, busyboxRoot(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.Keep(t.Context(), base)
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("FROM base\nRUN echo one > /one\nRUN echo running; sleep 1000\n")
	_, err = first.Build(t.Context(), image.BuildRequest{Context: dir}, func(e image.Event) {
		if strings.Contains(string(e.Log), "running") {
			first.cmd.Process.Kill()
		}
	})
	if !errors.Is(err, wire.ErrClosed) {
		t.Fatalf("the killed build gives %v, want ErrClosed", err)
	}
	// What a daemon does when its builder has died.
	groups, err := cgroup.Discover()
	if err != nil {
		t.Fatal(err)
	}
	if err := groups.Group(image.StepGroup(place.Tag)).Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.cmd.Wait()

	second := startBuilder(t, h, state)
	if missing, err := second.Keep(t.Context(), []string{base.Record.Digest}); err != nil || len(missing) > 0 {
		t.Fatalf("after the restart %v is missing, %v", missing, err)
	}
	if left, err := os.ReadDir(filepath.Join(state, "builder", "tmp")); err != nil || len(left) > 0 {
		t.Errorf("temporary files %v, %v", left, err)
	}
	write("FROM base\nRUN echo one > /one\nRUN echo two > /two\n")
	var cached []string
	built, err := second.Build(t.Context(), image.BuildRequest{Context: dir, Tags: []string{"app"}}, func(e image.Event) {
		if e.Status == image.StatusCached {
			cached = append(cached, e.Name)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		found := false
		for _, folder := range built.Record.LowerDirs(state) {
			if raw, err := os.ReadFile(filepath.Join(folder, name)); err == nil && string(raw) == name+"\n" {
				found = true
			}
		}
		if !found {
			t.Errorf("no layer has the file %s", name)
		}
	}
	if len(cached) == 0 || !strings.Contains(strings.Join(cached, "\n"), "echo one") {
		t.Errorf("the step that had ended before the kill ran again; cached: %q", cached)
	}

	// A third one cannot start while the second is there; the second leaves
	// when its connection is closed.
	third := startBuilder(t, h, state)
	if _, err := third.Keep(t.Context(), nil); err == nil {
		t.Error("two builders on one state folder")
	}
	second.Close()
	kerneltest.Eventually(t, time.Minute, func() error {
		if state, err := second.cmd.Process.Wait(); err == nil {
			if !state.Success() {
				t.Errorf("the second builder ended with %s", state)
			}
			return nil
		} else {
			return err
		}
	})
}
