package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// base is a root file system made by examples/base.sh, kept in .cache.
func base(t testing.TB, name string, packages ...string) string {
	t.Helper()
	path, err := filepath.Abs("../.cache/" + name + ".tar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	out, err := exec.Command("sh", append([]string{"../examples/base.sh", path}, packages...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("base.sh: %v: %s", err, out)
	}
	return path
}

// apps is a root file system with what applications of ours need.
func apps(t testing.TB) string {
	return base(t, "apps", "python3-pip", "python3-flask", "python3-redis", "redis-server", "nodejs")
}

// copyExample copies an example, so that the test may name another host port.
func (h *host) copyExample(name, from, to string) string {
	h.t.Helper()
	files := map[string]string{}
	root := filepath.Join("../examples", name)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		relative, _ := filepath.Rel(root, path)
		files[relative] = string(raw)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for path, content := range files {
		if filepath.Ext(path) == ".yaml" || filepath.Ext(path) == ".yml" {
			files[path] = replaceOnce(h.t, content, from, to)
		}
	}
	return h.project(name, files)
}

// The classic, built from Debian packages inside our own containers.
func TestFlaskAndRedisCountVisits(t *testing.T) {
	h := newHost(t)
	h.must("", "image", "import", base(t, "debian"), "debian:bookworm-slim")
	port := freePort(t)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	dir := h.copyExample("flask-redis", "5000:5000", fmt.Sprintf("127.0.0.1:%d:5000", port))
	h.must(dir, "up", "-d")
	h.countThree(url)
	h.must(dir, "down")
	h.must(dir, "up", "-d")
	if got, want := h.get(url), "Hello World! I have been seen 4 times.\n"; got != want {
		t.Errorf("after down and up the page says %q, want %q: the volume was lost", got, want)
	}
	h.must(dir, "down", "-v")
}

// The same in its well-known form, from a registry behind the mirror setting.
func TestFlaskAndRedisFromTheHubRunUnchanged(t *testing.T) {
	h := newHost(t)
	r := newRegistry(t)
	root := apps(t)
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	r.push("library/python", "3-alpine", root, imageConfig{Env: env, Cmd: []string{"python3"}}, "EXTERNALLY-MANAGED")
	r.push("library/redis", "alpine", root, imageConfig{Env: env,
		Cmd:          []string{"redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"},
		ExposedPorts: map[string]struct{}{"6379/tcp": {}}}, "EXTERNALLY-MANAGED")
	h.env = append(h.env, "MYCOMPOSE_REGISTRY_MIRRORS=docker.io="+r.url)
	port := freePort(t)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	dir := h.copyExample("flask-redis-hub", "5000:5000", fmt.Sprintf("127.0.0.1:%d:5000", port))
	up := h.run(dir, "up", "-d")
	if up.code != 0 {
		t.Fatalf("up: %d\n%s%s", up.code, up.stdout, up.stderr)
	}
	for _, line := range []string{" Image redis:alpine Pulled \n", "the attribute `version` is obsolete"} {
		if err := want(up.stderr, line); err != nil {
			t.Error(err)
		}
	}
	h.countThree(url)
	h.must(dir, "down", "-v")
}

func (h *host) countThree(url string) {
	h.t.Helper()
	for i := 1; i <= 3; i++ {
		if got, want := h.get(url), fmt.Sprintf("Hello World! I have been seen %d times.\n", i); got != want {
			h.t.Fatalf("page says %q, want %q", got, want)
		}
	}
}
