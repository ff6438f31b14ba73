package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
