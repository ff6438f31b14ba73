package builder

import (
	"bytes"
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
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

// smallProgram builds the small program once for all tests of the package.
var smallProgram = sync.OnceValues(func() ([]byte, error) {
	return kerneltest.BuildProgram("engine/spawn/testdata/small")
})

// newRunRig is a rig that can run steps, with base:1 in its registry.
func newRunRig(t testing.TB) (*rig, image.Registries) {
	t.Helper()
	kerneltest.NeedRoot(t)
	program, err := smallProgram()
	if err != nil {
		t.Fatal(err)
	}
	small, err := wire.SealProgram(bytes.NewReader(program), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { small.Close() })
	state := t.TempDir()
	place, err := store.Locate(state, "")
	if err != nil {
		t.Fatal(err)
	}
	leaksOf(t, place.Tag) // before the rig, so that it looks after it has gone
	r := newRig(t, Options{Small: small, StateDir: state})
	r.host.sandbox = func(q image.SandboxRequest) (image.Sandbox, *os.File, error) {
		// The client closes the descriptor that it sends.
		file, err := os.Open("/proc/self/fd/" + itoa(int(kerneltest.NewNetNS(t).File.Fd())))
		return image.Sandbox{ID: q.ID, ResolvConf: "nameserver 192.0.2.1 # " + q.Network + "\n", Hosts: "192.0.2.2\tgateway\n"}, file, err
	}
	reg := newRegistry(t)
	reg.push("library/base", "1", newImage(t, nil, busyboxLayer(t)))
	return r, reg.settings()
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// leaksOf checks at the end that no control group of the state folder is left.
func leaksOf(t testing.TB, tag string) {
	t.Cleanup(func() {
		for _, pattern := range []string{"/sys/fs/cgroup/mycompose-" + tag, "/sys/fs/cgroup/*/mycompose-" + tag} {
			left, err := filepath.Glob(pattern + "*")
			if err != nil {
				t.Fatal(err)
			}
			if len(left) > 0 {
				t.Errorf("control groups are left: %v", left)
			}
		}
	})
}

func TestBuildRunsSteps(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t, "Dockerfile", `FROM base:1 AS one
RUN echo stage one > /one
FROM base:1
WORKDIR /app
RUN --mount=type=bind,from=one,source=/one,target=/mnt/one cat /mnt/one > copy
COPY --from=one /one ./copied
RUN id > id; cat /etc/resolv.conf > resolv; cat /etc/hosts > hosts; hostname > hostname; ls /proc/1/ns > ns; readlink /proc/self/exe; echo "pid $$" > pid
RUN --mount=type=secret,id=token cat /run/secrets/token > /tmp/secret; stat -c %a /run/secrets/token >> /tmp/secret
ARG N=1
RUN --mount=type=cache,target=/cache echo once >> /cache/log; cat /cache/log > cachelog
RUN --mount=type=tmpfs,target=/scratch touch /scratch/x && mount | grep /scratch > tmpfsline
RUN --network=none ls /sys/class/net > links
RUN <<END
set -e
echo heredoc > here
END
USER web
RUN id > /tmp/user; test ! -w /etc
ENV TOKEN=x
RUN echo "$TOKEN" > /tmp/env; echo to stderr >&2
`)
	request := image.BuildRequest{
		Context: dir, Registries: registries, Network: "shop_default", Tags: []string{"app"},
		Secrets: []image.Secret{{ID: "token", Content: []byte("very secret\n")}}, ExtraHosts: map[string]string{"db": "192.0.2.9"},
	}
	var seen steps
	got, err := r.client.Build(t.Context(), request, seen.event)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"one": "", "app/copy": "stage one\n", "app/copied": "stage one\n", "app/here": "heredoc\n",
		"app/hostname": "build\n", "app/pid": "pid 1\n", "tmp/secret": "very secret\n400\n", "app/cachelog": "once\n", "app/links": "lo\n", "tmp/env": "x\n",
	} {
		if want == "" {
			continue
		}
		if text := read(t, r.Builder, got.Record, name); text != want {
			t.Errorf("%s holds %q, want %q", name, text, want)
		}
	}
	for name, part := range map[string]string{
		"app/id": "uid=0(root)", "tmp/user": "uid=1000(web) gid=1000(web)", "app/tmpfsline": "tmpfs",
		"app/resolv": "# shop_default", "app/hosts": "192.0.2.9\tdb",
	} {
		if text := read(t, r.Builder, got.Record, name); !strings.Contains(text, part) {
			t.Errorf("%s holds %q, want %q in it", name, text, part)
		}
	}
	if text := read(t, r.Builder, got.Record, "app/hosts"); !strings.Contains(text, "192.0.2.2\tgateway") {
		t.Errorf("hosts holds %q", text)
	}
	if !strings.Contains(seen.output.String(), "to stderr") {
		t.Errorf("the output is %q", seen.output.String())
	}
	// Mount points are no part of the layers.
	for _, layer := range got.Record.LowerDirs(r.store.stateDir) {
		for _, name := range []string{"etc/resolv.conf", "etc/hosts", "run/secrets/token", "mnt/one", "scratch", "cache", "proc", "sys", "dev"} {
			if st, err := os.Lstat(filepath.Join(layer, name)); err == nil {
				t.Errorf("%s is in layer %s: %v", name, layer, st.Mode())
			}
		}
	}
	var again steps
	start := time.Now()
	second, err := r.client.Build(t.Context(), request, again.event)
	if err != nil || second.Record.Digest != got.Record.Digest || again.status("RUN id > id") != image.StatusCached {
		t.Errorf("second build: %s, %v; steps %v", second.Record.Digest, err, again.ended)
	}
	t.Logf("cached build: %v", time.Since(start))
	// The cache mount is kept when its step runs again.
	request.Args = map[string]string{"N": "2"}
	third, err := r.client.Build(t.Context(), request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := read(t, r.Builder, third.Record, "app/cachelog"); text != "once\nonce\n" {
		t.Errorf("the cache mount holds %q", text)
	}
}

func TestAFailingStepSaysWhy(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t, "Dockerfile", "FROM base:1\nRUN echo fine\nRUN echo one; echo two >&2; exit 7\n")
	for _, test := range []struct {
		name, inline string
		texts        []string
	}{
		{"by its exit code", "", []string{"Dockerfile:3", "RUN echo one; echo two", "exit code: 7", "  > one", "  > two"}},
		{"by a signal", "FROM base:1\nRUN kill -9 $$ & sleep 30\n", []string{"Dockerfile:2", "exit code: "}},
		{"by a program that is not there", "FROM base:1\nRUN [\"/bin/nothing\"]\n", []string{"Dockerfile:2", "exit code: 127", "/bin/nothing"}},
		{"by a user that is not there", "FROM base:1\nUSER ghost\nRUN true\n", []string{"ghost"}},
		{"by a security mode", "FROM base:1\nRUN --security=insecure true\n", []string{"insecure"}},
		{"by a host network that was not asked for", "FROM base:1\nRUN --network=host true\n", []string{"network.host"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.Contains(test.inline, "kill -9") {
				// PID 1 of a namespace ignores its own signals; a sleep does not.
				test.inline = "FROM base:1\nRUN sleep 30 & kill -9 $!; wait $!\n"
				test.texts = append(test.texts, "137")
			}
			_, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Inline: test.inline, Registries: registries}, nil)
			if err == nil {
				t.Fatal("the build succeeded")
			}
			for _, text := range test.texts {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q, want %q in it", err, text)
				}
			}
			t.Log(err)
		})
	}
}

func TestACancelledBuildEndsItsSteps(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t, "Dockerfile", "FROM base:1\nRUN echo running; sleep 1000\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := r.client.Build(ctx, image.BuildRequest{Context: dir, Registries: registries}, func(e image.Event) {
		if strings.Contains(string(e.Log), "running") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		r.steps.mu.Lock()
		defer r.steps.mu.Unlock()
		if n := len(r.steps.running); n > 0 {
			return errors.New("steps are running")
		}
		return nil
	})
	if _, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Inline: "FROM base:1\nRUN true\n", Registries: registries}, nil); err != nil {
		t.Errorf("the next build: %v", err)
	}
}

func TestTheEndOfTheConnectionEndsTheSteps(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t, "Dockerfile", "FROM base:1\nRUN echo running; sleep 1000\n")
	_, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Registries: registries}, func(e image.Event) {
		if strings.Contains(string(e.Log), "running") {
			r.client.Close()
		}
	})
	if !errors.Is(err, wire.ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestOverlayOptions(t *testing.T) {
	o, err := overlayOf([]string{"index=off", "workdir=/w", "upperdir=/u", "lowerdir=/a:/b"})
	if err != nil || strings.Join(o.Layers, " ") != "/a /b" || o.Upper != "/u" || o.Work != "/w" {
		t.Errorf("overlay %+v, %v", o, err)
	}
	for _, bad := range [][]string{{"lowerdir=/a", "userxattr"}, {"upperdir=/u"}, nil} {
		if _, err := overlayOf(bad); err == nil {
			t.Errorf("options %q give no error", bad)
		}
	}
}

func TestImagesInOtherPlacesThanFrom(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t)
	first, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Registries: registries, Inline: `FROM base:1
COPY --from=base:1 /etc/group /copied
RUN --mount=type=bind,from=base:1,source=/etc,target=/mnt cat /mnt/passwd > /passwd
`}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, r.Builder, first.Record, "copied"), "web") || !strings.Contains(read(t, r.Builder, first.Record, "passwd"), "web") {
		t.Error("the files are wrong")
	}
	pinned := "FROM base@" + r.host.names["docker.io/library/base:1"] + "\nRUN echo pinned > /pinned\n"
	got, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Registries: registries, Inline: pinned}, nil)
	if err != nil || read(t, r.Builder, got.Record, "pinned") != "pinned\n" {
		t.Errorf("FROM with a digest: %v", err)
	}
	named, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Registries: registries,
		Inline:             "FROM other\nCOPY --from=files /f /f\n",
		AdditionalContexts: map[string]string{"other": "docker-image://base:1", "files": buildContext(t, "f", "from a folder")}}, nil)
	if err != nil || read(t, r.Builder, named.Record, "f") != "from a folder" {
		t.Errorf("named contexts: %v", err)
	}
}

func TestBuildsAtOnce(t *testing.T) {
	r, registries := newRunRig(t)
	dir := buildContext(t)
	var group sync.WaitGroup
	var digests [4]string
	for i := range digests {
		group.Go(func() {
			inline := "FROM base:1\nRUN echo shared > /shared\nRUN echo " + itoa(i/2) + " > /own\n"
			got, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir, Registries: registries, Inline: inline}, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if text := read(t, r.Builder, got.Record, "own"); text != itoa(i/2)+"\n" {
				t.Errorf("build %d has %q", i, text)
			}
			digests[i] = got.Record.Digest
		})
	}
	group.Wait()
	if digests[0] != digests[1] || digests[2] != digests[3] || digests[0] == digests[2] {
		t.Errorf("digests %v", digests)
	}
}

func TestAnIdleBuilderLeaves(t *testing.T) {
	kerneltest.NeedRoot(t)
	b := newBuilder(t)
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	left, err := wire.NewConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	right, err := wire.NewConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	client := image.NewClient(left, &testHost{t: t})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Serve(context.Background()) // ends with the builder
	}()
	if err := b.Serve(context.Background(), right, 20*time.Millisecond); err != nil {
		t.Errorf("an idle builder left with %v", err)
	}
	<-done
	if _, err := client.Keep(t.Context(), nil); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("a call after that gives %v, want ErrClosed", err)
	}
}

func TestACancelMayComeFirst(t *testing.T) {
	s := &server{jobs: map[string]context.CancelFunc{}, canceled: map[string]bool{}}
	s.cancel("a")
	if err := s.begin("a", func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("begin after cancel gives %v", err)
	}
	if err := s.begin("a", func() {}); err != nil {
		t.Errorf("the next job of that name gives %v", err)
	}
	if err := s.begin("a", func() {}); err == nil {
		t.Error("two jobs of one name")
	}
}
