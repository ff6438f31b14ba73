package e2e

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

const screened = `
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    ports: ["127.0.0.1:%d:80"]
    depends_on: {db: {condition: service_healthy}}
  worker:
    image: busybox
    init: true
    command: sleep 1000
    depends_on: {db: {condition: service_healthy}}
  db:
    image: busybox
    init: true
    command: sleep 1000
    volumes: [".:/here:ro"]
    healthcheck: {test: test -e /here/go, interval: 1s, retries: 1000}
  bad:
    image: busybox
    profiles: [bad]
    command: sh -c 'echo starting; echo cannot open database; exit 3'
  needs-bad:
    image: busybox
    profiles: [bad]
    command: sleep 1000
    depends_on: {bad: {condition: service_completed_successfully}}
`

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// What people see of up, of one that fails and of down.
func TestScreensOfUpFailureAndDown(t *testing.T) {
	eachSize(t, func(t *testing.T, columns, rows int) {
		h := newHost(t)
		h.busybox()
		dir := h.project("shop", map[string]string{"compose.yaml": fmt.Sprintf(screened, freePort(t))})
		p := h.newPane(dir, columns, rows)
		p.types("mycompose up -d")
		p.golden("up-waiting", p.sees("Waiting until healthy", "Container shop-worker-1 Created, waits for db", "Container shop-web-1    Created, waits for db"))
		touch(t, dir+"/go")
		p.golden("up", p.ends(0))
		p.types("mycompose --profile bad up -d needs-bad")
		p.golden("failure", p.ends(1))
		p.types("mycompose --profile bad down -t 1")
		p.golden("down", p.ends(0))
	})
}

// gate is a registry whose layers stop half-way until it is opened.
type gate struct {
	server *http.Server
	host   string
	open   chan struct{}
	once   sync.Once
}

func (g *gate) pass() { g.once.Do(func() { close(g.open) }) }

func (g *gate) passed() bool {
	select {
	case <-g.open:
		return true
	default:
		return false
	}
}

// halfWay writes the first half of what comes, then a byte now and then, so that
// its reader looks at the time, until the gate is open.
type halfWay struct {
	http.ResponseWriter
	size, written int64
	g             *gate
	r             *http.Request
}

// Unwrap lets the proxy flush.
func (w *halfWay) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *halfWay) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		part := p
		if w.size > 0 && w.written+int64(len(p)) > w.size/2 && !w.g.passed() {
			part = p[:max(1, w.size/2-w.written)]
		}
		n, err := w.ResponseWriter.Write(part)
		total += n
		w.written += int64(n)
		if err != nil {
			return total, err
		}
		p = p[n:]
		if w.size > 0 && w.written >= w.size/2 && !w.g.passed() {
			w.ResponseWriter.(http.Flusher).Flush()
			select {
			case <-w.g.open:
			case <-w.r.Context().Done():
				return total, w.r.Context().Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return total, nil
}

func (w *halfWay) WriteHeader(code int) {
	fmt.Sscan(w.Header().Get("Content-Length"), &w.size)
	if w.size < 100_000 { // manifests and configs
		w.size = 0
	}
	w.ResponseWriter.WriteHeader(code)
}

func newGate(t *testing.T, r *registry) *gate {
	t.Helper()
	to, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{open: make(chan struct{}), host: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	g.server = &http.Server{Addr: g.host, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			w = &halfWay{ResponseWriter: w, g: g, r: r}
		}
		proxy.ServeHTTP(w, r)
	})}
	var serving sync.WaitGroup
	serving.Add(1)
	go func() {
		defer serving.Done()
		_ = g.server.ListenAndServe()
	}()
	t.Cleanup(func() {
		g.pass()
		g.server.Close()
		serving.Wait()
	})
	kerneltest.Eventually(t, deadline, func() error {
		answer, err := http.Get("http://" + g.host + "/v2/")
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
	return g
}

// randomTar holds one file that no compression makes smaller.
func randomTar(t *testing.T, size int) string {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := w.WriteHeader(&tar.Header{Name: "big", Mode: 0o644, Size: int64(size)})
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tempDir(t), "root.tar")
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A pull half-way shows a bar with bytes; the last frame is quiet.
func TestScreensOfPull(t *testing.T) {
	eachSize(t, func(t *testing.T, columns, rows int) {
		h := newHost(t)
		r := newRegistry(t)
		r.push("app", "1", randomTar(t, 8<<20), imageConfig{Cmd: []string{"sleep", "1000"}}, "")
		g := newGate(t, r)
		dir := h.project("pulled", map[string]string{"compose.yaml": fmt.Sprintf("services: {web: {image: \"%s/app:1\"}}\n", g.host)})
		p := h.newPane(dir, columns, rows)
		p.types("mycompose pull")
		half := p.sees("Downloading █")
		p.golden("pull-half", half)
		g.pass()
		p.golden("pull", p.ends(0))
	})
}

// A build shows the step that works and its last line; of one that fails the end
// of its output stays.
func TestScreensOfBuild(t *testing.T) {
	eachSize(t, func(t *testing.T, columns, rows int) {
		h := newHost(t)
		h.busybox()
		dir := h.project("built", map[string]string{
			"compose.yaml":   "services:\n  good: {build: .}\n  bad: {profiles: [bad], build: {context: ., dockerfile: bad.Dockerfile}}\n",
			"Dockerfile":     "FROM busybox\nRUN echo half-way; sleep 3; echo done\n",
			"bad.Dockerfile": "FROM busybox\nRUN echo about to fail && exit 7\n",
		})
		p := h.newPane(dir, columns, rows)
		p.types("mycompose build")
		p.sees("RUN echo half-way; sleep 3", " half-way")
		p.golden("build", p.ends(0))
		p.types("mycompose --profile bad build bad")
		p.golden("build-failure", p.ends(1))
	})
}

const attachedOnce = `
services:
  web:
    image: busybox
    init: true
    command: sh -c 'until test -e /here/go; do sleep 0.1; done; echo hello; sleep 1000'
    volumes: [".:/here:ro"]
    ports: ["127.0.0.1:%d:80"]
`

// An attached up says where and which keys, Ctrl-Z gives the terminal back as it
// was and fg goes on, d leaves the containers alone, Ctrl-C stops them.
func TestScreensOfAnAttachedUp(t *testing.T) {
	eachSize(t, func(t *testing.T, columns, rows int) {
		h := newHost(t)
		h.busybox()
		dir := h.project("loop", map[string]string{"compose.yaml": fmt.Sprintf(attachedOnce, freePort(t))})
		p := h.newPane(dir, columns, rows)
		p.types("stty -a > before; mycompose up")
		p.sees("keys: d detach")
		touch(t, dir+"/go")
		p.golden("attached", p.sees("| hello"))
		sane := func() {
			t.Helper()
			p.types("stty -a | cmp - before")
			p.ends(0)
		}
		p.keys("C-z")
		p.sees("Stopped", "$")
		sane()
		p.types("fg")
		p.sees("mycompose up")
		p.keys("Enter", "d")
		p.sees("detached: the containers run on")
		p.ends(0)
		sane()
		if row := h.ps(dir)["loop-web-1"]; row.State != "running" {
			t.Errorf("after d: %+v", row)
		}
		p.types("mycompose up")
		p.sees("keys: d detach")
		p.keys("r")
		p.sees("web-1 restarted, its last run ended with code 143", "Container loop-web-1 Started")
		p.keys("C-c")
		p.ends(130)
		if err := os.Remove(dir + "/go"); err != nil {
			t.Fatal(err)
		}
		p.types("mycompose up --menu=false")
		p.sees("  web  http://")
		touch(t, dir+"/go")
		p.sees("| hello")
		p.keys("C-c")
		p.golden("ctrl-c", ordered(p.ends(130)))
		sane()
		if row := h.ps(dir)["loop-web-1"]; row.State != "exited" {
			t.Errorf("after Ctrl-C: %+v", row)
		}
	})
}

// ordered puts the last line of a container before the one that it is stopped:
// they come on two streams.
func ordered(screen string) string {
	const exited, stopped = "web-1 exited with code 143\n", " Container loop-web-1 Stopped\n"
	return strings.Replace(screen, stopped+exited, exited+stopped, 1)
}
