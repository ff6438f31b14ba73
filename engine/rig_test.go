package engine

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// patience only guards against hanging.
const patience = time.Minute

var smallOnce = sync.OnceValues(func() ([]byte, error) { return kerneltest.BuildProgram("cmd/small") })

// rig is a state folder with a busybox image and an engine on it.
type rig struct {
	t      *testing.T
	place  folder.Place
	small  *os.File
	binary *os.File
	keeper *memoryKeeper
	engine *Engine
	// iptables has the engine keep its rules by iptables.
	iptables bool
}

const testImage = "busybox:test"

func newRig(t *testing.T) *rig {
	t.Helper()
	kerneltest.NeedRoot(t)
	program, err := smallOnce()
	if err != nil {
		t.Fatal(err)
	}
	// No folder of t's: its name is in no path that a socket needs.
	dir, err := os.MkdirTemp("", "mce")
	if err != nil {
		t.Fatal(err)
	}
	place, err := store.Locate(filepath.Join(dir, "state"), "")
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.NoLeaks(t, place.Tag)
	t.Cleanup(func() { os.RemoveAll(dir) })
	small, err := wire.SealProgram(bytes.NewReader(program), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { small.Close() })
	binary, err := os.Open("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binary.Close() })
	r := &rig{t: t, place: place, small: small, binary: binary, keeper: &memoryKeeper{kept: map[string]map[string]*os.File{}}}
	r.open()
	r.putImage(dockerspec.DockerOCIImageConfig{})
	t.Cleanup(r.end)
	return r
}

// open opens the engine. No monitor may start a keeper while there is none.
func (r *rig) open() {
	r.t.Helper()
	s, err := store.Open(r.place)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.place.Stopped(), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.engine, err = Open(Config{
		Store: s, Logger: slog.New(slog.NewTextHandler(testWriter{r.t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Small: r.small, Binary: r.binary, Keeper: r.keeper, IPTables: r.iptables,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// reopen is what a crash of the daemon is for everybody else.
func (r *rig) reopen() {
	r.t.Helper()
	if err := r.engine.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// end removes everything and lets go of the run folder.
func (r *rig) end() {
	ctx := context.Background()
	all, err := r.engine.Containers(ctx, "")
	if err != nil {
		r.t.Error(err)
	}
	for _, c := range all {
		if err := r.engine.RemoveContainer(ctx, c.Blueprint.ID, spec.Remove{Force: true, Volumes: true}); err != nil {
			r.t.Error(err)
		}
	}
	networks, err := r.engine.Networks(ctx)
	if err != nil {
		r.t.Error(err)
	}
	for _, n := range networks {
		if err := r.engine.RemoveNetwork(ctx, n.Name); err != nil {
			r.t.Error(err)
		}
	}
	if err := r.engine.Close(); err != nil {
		r.t.Error(err)
	}
	r.keeper.mu.Lock()
	for id, files := range r.keeper.kept {
		r.t.Errorf("the keeper still keeps %d sockets of %s", len(files), short(id))
	}
	r.keeper.mu.Unlock()
	if entries, err := os.ReadDir(r.place.MonitorDir()); err == nil && len(entries) > 0 {
		r.t.Errorf("monitors left %v", entries)
	}
	os.RemoveAll(r.place.Run)
}

// putImage lays busybox down as one layer and writes its record.
func (r *rig) putImage(config dockerspec.DockerOCIImageConfig) {
	r.t.Helper()
	layer := filepath.Join(r.place.LayersDir(), "busybox")
	busybox := kerneltest.NeedProgram(r.t, "busybox")
	for _, dir := range []string{"bin", "etc", "tmp", "root", "data/sub"} {
		if err := os.MkdirAll(filepath.Join(layer, dir), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	content, err := os.ReadFile(busybox)
	if err != nil {
		r.t.Fatal(err)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	write := func(name string, data []byte, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(layer, name), data, mode); err != nil {
			r.t.Fatal(err)
		}
	}
	write("bin/busybox", content, 0o755)
	write("etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/data:/bin/sh\n"), 0o644)
	write("etc/group", []byte("root:x:0:\napp:x:1000:\nmedia:x:44:app\n"), 0o644)
	write("data/sub/from-image", []byte("image\n"), 0o640)
	if err := os.Chown(filepath.Join(layer, "data/sub/from-image"), 1000, 44); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chown(filepath.Join(layer, "data"), 1000, 1000); err != nil {
		r.t.Fatal(err)
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			if err := os.Symlink("busybox", filepath.Join(layer, "bin", applet)); err != nil && !os.IsExist(err) {
				r.t.Fatal(err)
			}
		}
	}
	record := image.Record{
		Digest: "sha256:" + strings.Repeat("ab", 32), ConfigDigest: "sha256:" + strings.Repeat("cd", 32), Platform: "linux/amd64",
		Config: image.Config{Image: ocispec.Image{}, Config: config}, Layers: []image.Layer{{Folder: "layers/busybox"}},
	}
	if err := r.engine.images.Put(r.t.Context(), record, image.Name{Reference: testImage}); err != nil {
		r.t.Fatal(err)
	}
}

// shell is a blueprint that runs a script.
func shell(name, script string) spec.Blueprint {
	grace := time.Second // for scripts that obey no signal
	return spec.Blueprint{Name: name, Project: "t", StopGrace: &grace, Image: testImage, Entrypoint: []string{"/bin/sh", "-c", script}, NetworkMode: "none"}
}

// forever is a script that ends at SIGTERM.
const forever = "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"

func (r *rig) create(b spec.Blueprint) string {
	r.t.Helper()
	c, err := r.engine.CreateContainer(r.t.Context(), b)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Blueprint.ID
}

func (r *rig) start(b spec.Blueprint) string {
	r.t.Helper()
	id := r.create(b)
	if err := r.engine.StartContainer(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) stop(id string) {
	r.t.Helper()
	if err := r.engine.StopContainer(r.t.Context(), id, spec.Stop{}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) status(id string) spec.Status {
	r.t.Helper()
	c, err := r.engine.Inspect(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Status
}

// wait waits for a condition and returns the status.
func (r *rig) wait(id string, until spec.Condition) spec.Status {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	s, err := r.engine.WaitContainer(ctx, id, until)
	if err != nil {
		r.t.Fatalf("%v (%+v)", err, s)
	}
	return s
}

// until waits for a status.
func (r *rig) until(id, what string, ok func(spec.Status) bool) spec.Status {
	r.t.Helper()
	var s spec.Status
	kerneltest.Eventually(r.t, patience, func() error {
		if s = r.status(id); !ok(s) {
			return fmt.Errorf("not %s: %+v", what, s)
		}
		return nil
	})
	return s
}

// run executes a script in a container and returns what it wrote to stdout.
func (r *rig) run(id, script string) (string, int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	x, err := r.engine.Exec(ctx, spec.Exec{Container: id, Args: []string{"/bin/sh", "-c", script}})
	if err != nil {
		r.t.Fatal(err)
	}
	conn, err := r.engine.Attach(ctx, id, x, false, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	out := readFrames(r.t, conn)
	result, err := r.engine.WaitExec(ctx, id, x)
	if err != nil {
		r.t.Fatal(err)
	}
	return out, result.ExitCode
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// memoryKeeper keeps in this process.
type memoryKeeper struct {
	mu   sync.Mutex
	kept map[string]map[string]*os.File
}

func (k *memoryKeeper) Keep(_ context.Context, id string, files map[string]*os.File) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept[id] == nil {
		k.kept[id] = map[string]*os.File{}
	}
	for name, f := range files {
		d, err := wire.Duplicate(f)
		if err != nil {
			return err
		}
		if old := k.kept[id][name]; old != nil {
			old.Close()
		}
		k.kept[id][name] = d
	}
	return nil
}

func (k *memoryKeeper) Drop(_ context.Context, ids ...string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range ids {
		for _, f := range k.kept[id] {
			f.Close()
		}
		delete(k.kept, id)
	}
	return nil
}

func (k *memoryKeeper) List(context.Context) (map[string]map[string]*os.File, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]map[string]*os.File{}
	for id, files := range k.kept {
		out[id] = map[string]*os.File{}
		for name, f := range files {
			d, err := wire.Duplicate(f)
			if err != nil {
				return nil, err
			}
			out[id][name] = d
		}
	}
	return out, nil
}
