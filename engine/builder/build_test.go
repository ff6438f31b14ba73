package builder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/wire"
)

// testHost is a daemon with names in memory.
type testHost struct {
	t       testing.TB
	mu      sync.Mutex
	names   map[string]string
	kept    []image.Result
	open    map[string]string // sandbox → network
	sandbox func(image.SandboxRequest) (image.Sandbox, *os.File, error)
}

func (h *testHost) Resolve(_ context.Context, reference string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[reference], nil
}

func (h *testHost) Keep(_ context.Context, r image.Result) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, r)
	for _, n := range r.Names {
		h.names[n.Reference] = n.Digest
	}
	return nil
}

func (h *testHost) OpenSandbox(_ context.Context, r image.SandboxRequest) (image.Sandbox, *os.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sandbox == nil {
		return image.Sandbox{}, nil, errors.New("no sandbox in this test")
	}
	h.open[r.ID] = r.Network
	return h.sandbox(r)
}

func (h *testHost) CloseSandbox(_ context.Context, id string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, id)
	return nil
}

// rig is a builder and a daemon's client, joined by a socket.
type rig struct {
	*Builder
	client *image.Client
	host   *testHost
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	kerneltest.NeedRoot(t)
	b := newBuilderWith(t, o)
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	host := &testHost{t: t, names: map[string]string{}, open: map[string]string{}}
	left, err := wire.NewConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	right, err := wire.NewConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Builder: b, host: host, client: image.NewClient(left, host)}
	var group sync.WaitGroup
	group.Go(func() {
		_ = r.client.Serve(context.Background()) // ended by our own Close
	})
	group.Go(func() {
		if err := b.Serve(context.Background(), right, time.Hour); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	t.Cleanup(func() { // before the store is closed
		r.client.Close()
		group.Wait()
		if len(host.open) > 0 {
			t.Errorf("sandboxes are left: %v", host.open)
		}
	})
	return r
}

// context makes a build context of "name", "content" pairs.
func buildContext(t testing.TB, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(pairs); i += 2 {
		name := filepath.Join(dir, pairs[i])
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(pairs[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// steps counts how the build's steps ended.
type steps struct {
	mu     sync.Mutex
	ended  map[string]image.Status
	output strings.Builder
}

func (s *steps) event(e image.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		s.ended = map[string]image.Status{}
	}
	s.output.Write(e.Log)
	if e.Name != "" {
		s.ended[e.Name] = e.Status
	}
}

// status of the step whose name contains part.
func (s *steps) status(part string) image.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, status := range s.ended {
		if strings.Contains(name, part) {
			return status
		}
	}
	return ""
}

func TestBuildOfFilesOnly(t *testing.T) {
	r := newRig(t, Options{})
	reg := newRegistry(t)
	base := reg.push("library/base", "1", newImage(t, func(c *image.Config) { c.Config.Env = []string{"A=b"} }, newLayer(t, gzipped, "base", "0")))
	dir := buildContext(t, "Dockerfile", `# syntax=docker/dockerfile:1
FROM base:1 AS one
COPY a.txt /one/a
FROM base:1 AS unused
COPY missing /
FROM base:1
ARG WHO=nobody
LABEL who=$WHO
ENV C=d
COPY --from=one /one/a /two/a
COPY --chmod=0640 --chown=5:6 sub /sub/
CMD ["run"]
HEALTHCHECK --interval=3s CMD check
`, "a.txt", "from one", "sub/x", "x", "sub/ignored", "no", ".dockerignore", "sub/ignored\n")
	request := image.BuildRequest{Context: dir, Tags: []string{"app:dev", "me/app"}, Args: map[string]string{"WHO": "me"},
		Labels: map[string]string{"extra": "label"}, Registries: reg.settings()}
	var first steps
	got, err := r.client.Build(t.Context(), request, first.event)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, r.Builder, got.Record, "two/a") != "from one" || read(t, r.Builder, got.Record, "base") != "0" {
		t.Error("files are missing")
	}
	top := filepath.Join(r.store.stateDir, got.Record.Layers[len(got.Record.Layers)-1].Folder)
	if _, err := os.Stat(top + "/sub/ignored"); err == nil {
		t.Error("an ignored file was copied")
	}
	config := got.Record.Config.Config
	if config.Labels["who"] != "me" || config.Labels["extra"] != "label" || strings.Join(config.Cmd, " ") != "run" || config.Healthcheck == nil {
		t.Errorf("config %+v", config)
	}
	if len(got.Names) != 2 || got.Names[0].Reference != "docker.io/library/app:dev" || got.Names[1].Digest != got.Record.Digest {
		t.Errorf("names %+v", got.Names)
	}
	if len(r.host.kept) != 1 || r.host.kept[0].Record.Digest != string(base.Digest) {
		t.Errorf("the base was kept as %+v", r.host.kept)
	}
	if first.status("COPY --from=one") != image.StatusDone {
		t.Errorf("steps %v", first.ended)
	}

	// Again: everything from the cache, the same image, and no registry.
	request.Registries = image.Registries{}
	var second steps
	start := time.Now()
	again, err := r.client.Build(t.Context(), request, second.event)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cached build: %v", time.Since(start))
	if again.Record.Digest != got.Record.Digest || again.Record.Layers[0] != got.Record.Layers[0] || second.status("COPY --from=one") != image.StatusCached {
		t.Errorf("second build %s, want %s; steps %v", again.Record.Digest, got.Record.Digest, second.ended)
	}

	// A changed file is a changed image; the tag of the base is not asked again.
	if err := os.WriteFile(dir+"/a.txt", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := r.client.Build(t.Context(), request, nil)
	if err != nil || changed.Record.Digest == got.Record.Digest || read(t, r.Builder, changed.Record, "two/a") != "changed" {
		t.Errorf("third build: %v", err)
	}

	// A build from a built image that no registry has.
	r.host.Keep(t.Context(), got)
	next := buildContext(t, "Dockerfile", "FROM me/app\nCOPY y /y\n", "y", "y")
	built, err := r.client.Build(t.Context(), image.BuildRequest{Context: next}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if read(t, r.Builder, built.Record, "two/a") != "from one" || built.Record.Config.Config.Labels["who"] != "me" {
		t.Errorf("built upon: %+v", built.Record)
	}

	// The layers outlive the build cache and the other images.
	if err := r.client.Release(t.Context(), changed.Record.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Prune(t.Context(), image.PruneRequest{All: true}); err != nil {
		t.Fatal(err)
	}
	if read(t, r.Builder, got.Record, "two/a") != "from one" || read(t, r.Builder, built.Record, "y") != "y" {
		t.Error("a prune has taken layers of an image")
	}
	// And can be built upon then.
	if _, err := r.client.Build(t.Context(), image.BuildRequest{Context: next, Inline: "FROM me/app\nCOPY y /z\n"}, nil); err != nil {
		t.Errorf("build after a prune: %v", err)
	}
	for _, digest := range []string{got.Record.Digest, built.Record.Digest} {
		if err := r.client.Release(t.Context(), digest); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	r := newRig(t, Options{})
	reg := newRegistry(t)
	reg.push("library/base", "1", newImage(t, nil, newLayer(t, gzipped, "base", "0")))
	dir := buildContext(t, "Dockerfile", "FROM base:1\n", "x", "x")
	for _, test := range []struct {
		name    string
		request image.BuildRequest
		code    string
		texts   []string
	}{
		{"a missing context", image.BuildRequest{Context: dir + "/nothing"}, image.CodeBuild, []string{"nothing does not exist"}},
		{"a context that is a file", image.BuildRequest{Context: dir + "/x"}, image.CodeBuild, []string{"x is not a folder"}},
		{"a missing Dockerfile", image.BuildRequest{Context: dir, Dockerfile: "other"}, image.CodeBuild, []string{"there is no Dockerfile at " + dir + "/other"}},
		{"an unknown instruction", image.BuildRequest{Context: dir, Inline: "FROM base:1\nNOPE x\n"}, image.CodeBuild, []string{"Dockerfile:2", "unknown instruction: NOPE"}},
		{"an empty Dockerfile", image.BuildRequest{Context: dir, Inline: "\n"}, image.CodeBuild, []string{"file with no instructions"}},
		{"an unknown target", image.BuildRequest{Context: dir, Target: "nowhere"}, image.CodeBuild, []string{"nowhere"}},
		{"a file that is not there", image.BuildRequest{Context: dir, Inline: "FROM base:1\nCOPY nothing /\n"}, "", []string{"Dockerfile:2", "nothing", "not there to be copied"}},
		{"an image that is not there", image.BuildRequest{Context: dir, Inline: "FROM missing:1\n"}, image.CodeNotFound, []string{"cannot pull missing:1", "not found"}},
		{"a bad tag", image.BuildRequest{Context: dir, Tags: []string{"Bad Tag"}}, "", []string{"bad image reference"}},
		{"a bad extra host", image.BuildRequest{Context: dir, ExtraHosts: map[string]string{"a": "x,b"}}, image.CodeBuild, []string{"is no address"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.Registries = reg.settings()
			_, err := r.client.Build(t.Context(), test.request, nil)
			var remote *wire.RemoteError
			if !errors.As(err, &remote) {
				t.Fatalf("error %v, want one from the builder", err)
			}
			if test.code != "" && remote.Code != test.code {
				t.Errorf("code %q, want %q", remote.Code, test.code)
			}
			for _, text := range test.texts {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q, want %q in it", err, text)
				}
			}
		})
	}
}
