package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func busyboxTar(t testing.TB) string {
	t.Helper()
	return kerneltest.BusyboxTar(t, tempDir(t))
}

// savedImage is one image of an archive.
type savedImage struct {
	tags   []string
	config imageConfig
}

// savedImages writes an archive as docker save does, of images that all have
// busybox as their root, and returns its path.
func savedImages(t testing.TB, images ...savedImage) string {
	t.Helper()
	root := busyboxTar(t)
	layer, err := os.ReadFile(root)
	if err != nil {
		t.Fatal(err)
	}
	_, diffID := compress(t, root, "")
	path := filepath.Join(filepath.Dir(root), "saved.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	add := func(name string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	var manifest []map[string]any
	for i, image := range images {
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux", "config": image.config,
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID}},
		})
		if err != nil {
			t.Fatal(err)
		}
		name := string(rune('a'+i)) + ".json"
		add(name, config)
		manifest = append(manifest, map[string]any{"Config": name, "RepoTags": image.tags, "Layers": []string{"layer.tar"}})
	}
	add("layer.tar", layer)
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	add("manifest.json", raw)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// fed runs mycompose with the file as its standard input.
func (h *host) fed(path string, args ...string) outcome {
	h.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*deadline)
	defer cancel()
	cmd := h.command(ctx, "", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, &stdout, &stderr
	_ = cmd.Run() // its exit code says it
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// What image load takes in has its names printed as docker does, wherever the
// archive comes from; an image with nothing to execute is refused before the
// project's network is made.
func TestImageLoad(t *testing.T) {
	h := newHost(t)
	archive := savedImages(t,
		savedImage{[]string{"one:1", "one:2"}, imageConfig{Cmd: []string{"echo", "one"}}},
		savedImage{[]string{"registry.test/bare:1"}, imageConfig{}})
	said := "Loaded image: one:1\nLoaded image: one:2\nLoaded image: registry.test/bare:1\n"
	if got := h.must("", "image", "load", "-i", archive); got != said {
		t.Errorf("load -i FILE says %q, want %q", got, said)
	}
	packed := archive + ".xz"
	if out, err := exec.Command(kerneltest.NeedProgram(t, "xz"), "-k", "-0", archive).CombinedOutput(); err != nil {
		t.Fatalf("xz: %v: %s", err, out)
	}
	for _, args := range [][]string{{"image", "load"}, {"image", "load", "-i", "-"}, {"image", "load", "-q"}} {
		if r := h.fed(packed, args...); r.code != 0 || r.stdout != said {
			t.Errorf("%v from standard input: %d, says %q %q", args, r.code, r.stdout, r.stderr)
		}
	}
	if left, _ := filepath.Glob("/var/tmp/mycompose-load-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if r := h.fed("/dev/null", "image", "load"); r.code == 0 || !strings.Contains(r.stderr, "it is empty") {
		t.Errorf("from nothing: %d %s", r.code, r.stderr)
	}
	dir := h.project("bare", map[string]string{"compose.yaml": `
services:
  one: {image: "one:1"}
  nothing: {image: "registry.test/bare:1"}
`})
	r := h.run(dir, "up", "-d")
	if err := want(r.stderr, "cannot create service nothing: no command specified"); err != nil || r.code == 0 {
		t.Errorf("up of an image without a command: %d, %v", r.code, err)
	}
	if strings.Contains(r.stderr, "Network") {
		t.Errorf("the network was made before:\n%s", r.stderr)
	}
	if got := h.must(dir, "run", "--rm", "one"); got != "one\n" {
		t.Errorf("the loaded image says %q", got)
	}
}

// What image save writes, image load and another host's load read: names,
// content and configuration are the same. The rest is what a person asks of
// images day by day.
func TestImageCare(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("care", map[string]string{
		"compose.yaml": "services: {a: {build: ., image: \"care/a:1\", init: true, stop_grace_period: 0s}}\n",
		"Dockerfile":   "FROM busybox\nENV WORD=hello\nRUN echo content > /file\nLABEL com.example.l=v\nCMD [\"sleep\", \"1000\"]\n",
	})
	h.must(dir, "build")
	h.must("", "image", "tag", "care/a:1", "registry.test/other:2")
	inspect := func(word, format string) string {
		t.Helper()
		return strings.TrimSpace(h.must("", "image", "inspect", "-f", format, word))
	}
	id := inspect("care/a:1", "{{.Id}}")
	for format, want := range map[string]string{
		"{{.RepoTags}}": "[care/a:1 registry.test/other:2]", "{{.Config.Cmd}}": "[sleep 1000]", "{{.Os}}/{{.Architecture}}": "linux/" + runtime.GOARCH,
		"{{index .Config.Labels \"com.example.l\"}}": "v", "{{len .RootFS.Layers}}": "2",
	} {
		if got := inspect("registry.test/other:2", format); got != want {
			t.Errorf("inspect %s: %q, want %q", format, got, want)
		}
	}
	if out := h.must("", "image", "history", "--no-trunc", "care/a:1"); !strings.Contains(out, "echo content > /file") || !strings.Contains(out, id) {
		t.Errorf("history:\n%s", out)
	}
	file := filepath.Join(tempDir(t), "saved.tar")
	h.must("", "image", "save", "-o", file, "care/a:1", "registry.test/other:2", "busybox")
	if r := h.run("", "image", "save", "-o", filepath.Join(tempDir(t), "x.tar"), "nosuch:1"); r.code == 0 || !strings.Contains(r.stderr, "nosuch:1") {
		t.Errorf("save of what is not there: %d %s", r.code, r.stderr)
	}
	if streamed := h.must("", "image", "save", "care/a:1"); len(streamed) < 1<<20 || !strings.Contains(streamed, "manifest.json") {
		t.Errorf("save to standard output gives %d bytes", len(streamed))
	}
	other := newHost(t)
	loaded := other.must("", "image", "load", "-i", file)
	for _, name := range []string{"busybox:latest", "care/a:1", "registry.test/other:2"} {
		if !strings.Contains(loaded, "Loaded image: "+name+"\n") {
			t.Errorf("another host has loaded %q, not %s", loaded, name)
		}
	}
	if got := strings.TrimSpace(other.must("", "image", "inspect", "-f", "{{.Id}}", "care/a:1")); got != id {
		t.Errorf("the saved image has id %s, want %s", got, id)
	}
	// ls by what an image is called and has.
	for filter, want := range map[string]string{
		"reference=care/*": "care/a:1", "reference=care/a:1": "care/a:1", "label=com.example.l=v": "care/a:1 registry.test/other:2",
		"label=com.example.l=w": "", "dangling=true": "", "before=care/a:1": "busybox:latest", "since=busybox": "care/a:1 registry.test/other:2",
	} {
		if got := words(h.must("", "image", "ls", "--filter", filter, "--format", "{{.Repository}}:{{.Tag}}")); got != want {
			t.Errorf("image ls --filter %s: %q, want %q", filter, got, want)
		}
	}
	if r := h.run("", "image", "ls", "--filter", "size=1"); r.code != 1 || !strings.Contains(r.stderr, "invalid filter 'size'") {
		t.Errorf("an unknown filter: %+v", r)
	}
	// One in use is kept and its container named; prune takes the rest.
	h.must(dir, "up", "-d")
	if got := h.must("", "image", "rm", "registry.test/other:2"); got != "Untagged: registry.test/other:2\n" {
		t.Errorf("image rm of a further name says %q", got)
	}
	if r := h.run("", "image", "rm", "-f", "nosuch:1"); r.code != 0 || r.stderr != "No such image: nosuch:1\n" {
		t.Errorf("image rm -f of none: %+v", r)
	}
	if r := h.run("", "image", "rm", "care/a:1"); r.code == 0 || !strings.Contains(r.stderr, "in use by care-a-1") {
		t.Errorf("rm of an image in use: %d %s", r.code, r.stderr)
	}
	h.must(dir, "build", "--no-cache")
	if out := h.must("", "image", "prune", "-f"); strings.Contains(out, "sha256:") {
		t.Errorf("prune took an image in use: %s", out)
	}
	h.must(dir, "up", "-d")
	out := h.must("", "image", "prune", "-f")
	if strings.Count(out, "sha256:") != 1 || !strings.Contains(out, "Total reclaimed space: ") {
		t.Errorf("prune of what a build has left: %s", out)
	}
	for _, filter := range []string{"until=1h", "label=nosuch", "label!=com.example.l"} {
		if out := h.must("", "image", "prune", "-a", "-f", "--filter", filter, "--filter", "label=com.example.l"); strings.Contains(out, "Deleted") {
			t.Errorf("prune --filter %s: %s", filter, out)
		}
	}
	other.must("", "image", "tag", "care/a:1", "care/b:1")
	if r := other.run("", "image", "rm", id[7:19]); r.code == 0 || !strings.Contains(r.stderr, "it has several names") {
		t.Errorf("image rm of an id: %+v", r)
	}
	if got := other.must("", "image", "rm", "-f", id[7:19]); !strings.Contains(got, "Untagged: care/b:1\n") || !strings.Contains(got, "Deleted: sha256:") {
		t.Errorf("image rm -f of an id says %q", got)
	}
	out = h.must("", "image", "prune", "-a", "-f")
	if !strings.Contains(out, "busybox:latest") || strings.Contains(out, "care/a") {
		t.Errorf("prune -a: %s", out)
	}
	if got := h.must(dir, "exec", "-T", "a", "cat", "/file"); got != "content\n" {
		t.Errorf("after the prunes the container has %q", got)
	}
}

// A prune of all images takes what the builds before have left, and says how much
// that was.
func TestAPruneOfAllTakesTheBuildCache(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("cached", map[string]string{
		"Dockerfile":   "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=8\n",
		"compose.yaml": "services:\n  app: {build: .}\n",
	})
	h.must(dir, "build", "-q")
	out := h.must(dir, "image", "prune", "-a", "-f")
	size := regexp.MustCompile(`Total reclaimed space: (\d+)(\.\d+)?MB`).FindStringSubmatch(out)
	if size == nil {
		t.Fatalf("prune says %s", out)
	}
	if mb, err := strconv.Atoi(size[1]); err != nil || mb < 8 || mb > 50 {
		t.Errorf("prune says %s", out)
	}
	if found, err := filepath.Glob(filepath.Join(h.state, "builder/snapshots/snapshots/*/fs/big")); err != nil || len(found) > 0 {
		t.Errorf("left are %v, %v", found, err)
	}
}
