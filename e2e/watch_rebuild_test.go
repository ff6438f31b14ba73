package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const rebuiltFile = `
services:
  web:
    build: .
    init: true
    command: nc -ll -p 80 -e cat /f
    ports: ["127.0.0.1:%d:80"]
    develop:
      watch:
        - {path: ./f, action: rebuild}
`

// watched is a `watch` at work in the background, and what it has shown.
type watched struct {
	*host
	mu   sync.Mutex
	text bytes.Buffer
	end  func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *watched) shown() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// watching starts a `watch`; end interrupts it and waits.
func (h *host) watching(dir string, args ...string) *watched {
	h.t.Helper()
	w := &watched{host: h}
	cmd := h.command(context.Background(), dir, append([]string{"watch"}, args...)...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	w.end = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have failed
		_ = waitFor(h.t, cmd)
	})
	h.t.Cleanup(w.end)
	h.eventually(func() error { return want(w.shown(), "Watch enabled") })
	return w
}

// A rebuild leaves no image without a name, unless --prune=false says so, and shows
// what the build wrote, unless --quiet does; --no-up begins with what runs.
func TestARebuildIsShownAndPruned(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("again", map[string]string{
		"compose.yaml": fmt.Sprintf(rebuiltFile, freePort(t)), "f": "0", "Dockerfile": "FROM busybox\nCOPY f /f\nRUN echo built $(cat /f)\n",
	})
	unnamed := func() int {
		return strings.Count(h.must(dir, "image", "ls"), "\n<none>")
	}
	rebuilds := func(w *watched, content string) {
		t.Helper()
		edit(t, filepath.Join(dir, "f"), content)
		h.eventually(func() error { return want(w.shown(), `Service "web" rebuilt in`) })
		h.shows(dir, "web", content, "cat", "/f")
	}
	w := h.watching(dir)
	rebuilds(w, "1")
	if err := want(w.shown(), "built 1"); err != nil {
		t.Errorf("the build's output is not shown: %v", err)
	}
	w.end()
	if n := unnamed(); n != 0 {
		t.Errorf("%d images without a name are left", n)
	}
	w = h.watching(dir, "--no-up", "--quiet", "--prune=false")
	rebuilds(w, "2")
	w.end()
	if strings.Contains(w.shown(), "built 2") || strings.Contains(w.shown(), "Container again-web-1 Running") {
		t.Errorf("--quiet --no-up show %s", w.shown())
	}
	if n := unnamed(); n != 1 {
		t.Errorf("%d images without a name, want the one that the rebuild has left", n)
	}
	h.must(dir, "down", "--rmi", "local")
}

// What lies in a container's memory is put again after each start, and what was
// saved while it did not run comes with the start.
func TestSavedFilesReachMemory(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("memory", map[string]string{"src/f": "0", "compose.yaml": `
services:
  web:
    image: busybox
    init: true
    command: sleep 100000
    tmpfs: [/mem]
    develop:
      watch:
        - {path: ./src, target: /mem, action: sync, initial_sync: true}
`})
	f := filepath.Join(dir, "src/f")
	h.must(dir, "up", "-d", "--watch")
	h.shows(dir, "web", "0", "cat", "/mem/f")
	edit(t, f, "1")
	h.shows(dir, "web", "1", "cat", "/mem/f")
	h.must(dir, "restart")
	h.shows(dir, "web", "1", "cat", "/mem/f")
	h.must(dir, "stop")
	edit(t, f, "2")
	h.must(dir, "start")
	h.shows(dir, "web", "2", "cat", "/mem/f")
	h.must(dir, "down")
}
