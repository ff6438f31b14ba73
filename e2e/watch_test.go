package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// edit saves a file of a project as an editor does: beside it, then over it.
func edit(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".tmp~", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp~", path); err != nil {
		t.Fatal(err)
	}
}

// shows waits until a command in a service prints just this.
func (h *host) shows(dir, service, want string, command ...string) {
	h.t.Helper()
	h.eventually(func() error {
		r := h.run(dir, append([]string{"exec", "-T", service}, command...)...)
		if got := strings.TrimSpace(r.stdout); got != want {
			return fmt.Errorf("it shows %q, want %q: %s", got, want, r.stderr)
		}
		return nil
	})
}

const watchedFile = `
services:
  web:
    image: busybox
    init: true
    read_only: true
    user: "1000:1000"
    command: ["sh", "-c", "cat /app/f; sleep 100000"]
    scale: 2
    develop:
      watch:
        - path: ./src
          target: /app
          action: sync
          initial_sync: true
          ignore: ["*.log"]
  plain:
    image: busybox
    init: true
    command: sleep 100000
`

// What is watched in the background is watched on by the next daemon; what was
// saved in between, what a new replica and a recreated one lack, is put.
func TestWatchingOutlivesTheTerminalAndTheDaemon(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("watched", map[string]string{"compose.yaml": watchedFile, "src/f": "one\n", "src/x.log": "noise\n"})
	f := filepath.Join(dir, "src/f")
	h.must(dir, "up", "-d", "--watch")
	if r := h.run(dir, "logs", "--no-log-prefix", "web"); r.stdout != "one\none\n" {
		h.eventually(func() error {
			return want(h.run(dir, "logs", "--no-log-prefix", "web").stdout, "one\none\n")
		})
	}
	h.shows(dir, "web", "f\n1000 1000 644", "sh", "-c", "ls /app; stat -c '%u %g %a' /app/f")
	edit(t, f, "two\n")
	for _, index := range []string{"1", "2"} {
		h.eventually(func() error {
			return want(h.run(dir, "exec", "-T", "--index", index, "web", "cat", "/app/f").stdout, "two\n")
		})
	}
	for i := range 3 {
		content := fmt.Sprintf("killed %d\n", i)
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			h.killDaemon()
		}()
		edit(t, f, content)
		<-killed
		h.shows(dir, "web", strings.TrimSpace(content), "cat", "/app/f")
	}
	if err := os.Remove(filepath.Join(dir, "src/x.log")); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "src/g"), "new\n")
	h.must(dir, "up", "-d", "--scale", "web=3", "--force-recreate")
	for _, index := range []string{"1", "2", "3"} {
		r := h.run(dir, "exec", "-T", "--index", index, "web", "sh", "-c", "cat /app/f /app/g; ls /app")
		if r.stdout != "killed 2\nnew\nf\ng\n" {
			t.Errorf("replica %s has %q: %s", index, r.stdout, r.stderr)
		}
	}
	h.must(dir, "watch", "--pause")
	status := h.must(dir, "watch", "--status")
	if err := want(status, "web: sync "+filepath.Join(dir, "src")+" → /app"); err != nil || !strings.Contains(status, "paused") {
		t.Errorf("status: %v", err)
	}
	h.must(dir, "watch", "--resume")
	explained := h.must(dir, "watch", "--explain", "src/y.log")
	if err := want(explained, `no, it is ignored by "*.log" of services.web.develop.watch[0].ignore[0]`); err != nil {
		t.Error(err)
	}
	h.must(dir, "watch", "--stop")
	if r := h.run(dir, "watch", "--status"); r.code != 1 || !strings.Contains(r.stderr, "project watched is not watched") {
		t.Errorf("status after stop: %d %s", r.code, r.stderr)
	}
}

func TestWrongWatchingIsToldBeforeAnythingIsDone(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("wrong", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n    command: sleep 1000\n    init: true\n    develop:\n      watch:\n        - path: ./nothing\n          action: sync\n          target: /app\n"})
	for _, args := range [][]string{{"watch"}, {"watch", "--no-up"}, {"up", "-d", "--watch"}} {
		r := h.run(dir, args...)
		if err := want(r.stderr, "compose.yaml:8:"); err != nil || r.code != 1 || !strings.Contains(r.stderr, "nothing does not exist; make it") {
			t.Errorf("%q: %d, %v", args, r.code, err)
		}
	}
	if rows := h.ps(dir, "-a"); len(rows) != 0 {
		t.Errorf("containers were made: %v", rows)
	}
	h.must(dir, "up", "-d") // without watching the path is nobody's business
	plain := h.project("plain", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n    command: sleep 1000\n    init: true\n"})
	for _, args := range [][]string{{"watch"}, {"up", "-d", "--watch"}} {
		r := h.run(plain, args...)
		if err := want(r.stderr, "none of the selected services is configured for watch, consider setting a 'develop' section"); err != nil || r.code != 1 {
			t.Errorf("%q: %d, %v", args, r.code, err)
		}
	}
	h.must(dir, "down")
}

// asker asks a page without pause and counts what became of it.
type asker struct {
	url      string
	answered atomic.Int64
	refused  atomic.Int64
	done     chan struct{}
	work     sync.WaitGroup
}

func ask(url string) *asker {
	a := &asker{url: url, done: make(chan struct{})}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	a.work.Go(func() {
		for {
			select {
			case <-a.done:
				return
			default:
			}
			answer, err := client.Get(url)
			if err != nil {
				a.refused.Add(1)
				time.Sleep(time.Millisecond)
				continue
			}
			answer.Body.Close()
			a.answered.Add(1)
		}
	})
	return a
}

func (a *asker) end() (answered, refused int64) {
	close(a.done)
	a.work.Wait()
	return a.answered.Load(), a.refused.Load()
}

// edits is how often an application is edited: MYCOMPOSE_EDITS, or a few.
func edits(t testing.TB, few int) int {
	text := os.Getenv("MYCOMPOSE_EDITS")
	if text == "" {
		return few
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

const flaskApp = `from flask import Flask
app = Flask(__name__)

@app.route("/")
def page():
    return "%s"

app.run("0.0.0.0", 80, debug=True)
`

// Real applications are edited under constant requests.
func TestApplicationsAreEditedWhileTheyRun(t *testing.T) {
	h := newHost(t)
	h.must("", "image", "import", apps(t), "apps")
	h.editFlask()
	h.editNode()
}

// editFlask edits an application with its own reloader: a save is all that it
// needs.
func (h *host) editFlask() {
	port := freePort(h.t)
	dir := h.project("flask", map[string]string{"app/app.py": fmt.Sprintf(flaskApp, "edit 0"), "compose.yaml": fmt.Sprintf(`
services:
  web:
    image: apps
    working_dir: /app
    command: python3 -u app.py
    stop_grace_period: 1s
    ports: ["127.0.0.1:%d:80"]
    develop:
      watch:
        - {path: ./app, target: /app, action: sync, initial_sync: true}
`, port)})
	h.must(dir, "up", "-d", "--watch")
	h.answersEdits(dir, "app/app.py", flaskApp, port, edits(h.t, 3)) // it looks once a second
	h.must(dir, "down", "-t", "1")
}

const nodeApp = `const http = require("http");
const server = http.createServer((request, answer) => answer.end("%s"));
server.listen(80);
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`

// editNode edits an application that is restarted for each save.
func (h *host) editNode() {
	port := freePort(h.t)
	dir := h.project("node", map[string]string{"app/app.js": fmt.Sprintf(nodeApp, "edit 0"), "compose.yaml": fmt.Sprintf(`
services:
  web:
    image: apps
    working_dir: /app
    command: node app.js
    init: true
    stop_grace_period: 1s
    ports: ["127.0.0.1:%[1]d:80", "[::1]:%[1]d:80"]
    develop:
      watch:
        - {path: ./app, target: /app, action: sync+restart, initial_sync: true}
`, port)})
	h.must(dir, "up", "-d", "--watch")
	h.answersEdits(dir, "app/app.js", nodeApp, port, edits(h.t, 15))
	h.answersRecreates(dir, port, 3)
	h.must(dir, "down", "-t", "1")
}

// answersRecreates makes an application anew while others ask without pause, by
// both families.
func (h *host) answersRecreates(dir string, port, count int) {
	h.t.Helper()
	four, six := ask(fmt.Sprintf("http://127.0.0.1:%d/", port)), ask(fmt.Sprintf("http://[::1]:%d/", port))
	for range count {
		h.must(dir, "up", "-d", "--force-recreate")
	}
	for name, others := range map[string]*asker{"127.0.0.1": four, "::1": six} {
		answered, refused := others.end()
		h.t.Logf("made anew %d times: %d requests to %s, %d refused", count, answered+refused, name, refused)
		if answered == 0 {
			h.t.Errorf("nobody was answered at %s", name)
		}
	}
}

// answersEdits edits an application and waits for each new answer, while others
// ask without pause.
func (h *host) answersEdits(dir, file, app string, port, count int) {
	h.t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	answers := func(want string) {
		h.t.Helper()
		h.eventually(func() error {
			if got := h.get(url); got != want {
				return fmt.Errorf("it answers %q, want %q", got, want)
			}
			return nil
		})
	}
	answers("edit 0")
	others := ask(url)
	began := time.Now()
	for i := 1; i <= count; i++ {
		if i%9 == 0 { // who restarts more often is paused
			h.must(dir, "watch", "--resume")
		}
		text := fmt.Sprintf("edit %d", i)
		edit(h.t, filepath.Join(dir, file), fmt.Sprintf(app, text))
		answers(text)
	}
	took := time.Since(began)
	answered, refused := others.end()
	h.t.Logf("%s: %d edits in %v, each answered by the new program; %d requests beside, %d refused", filepath.Base(file), count, took.Round(time.Millisecond), answered, refused)
	if answered == 0 {
		h.t.Error("nobody was answered")
	}
}

const followedFile = `
include: [part.yaml]
services:
  web:
    image: busybox
    init: true
    command: sleep 100000
    environment: {A: "${A:-1}"}
    env_file: [web.env]
    develop:
      watch:
        - {path: ./src, target: /src, action: sync}
  other:
    image: busybox
    init: true
    command: sleep 100000
`

const includedFile = `
services:
  %s: {image: busybox, init: true, command: sleep 100000, environment: {B: "%s"}}
`

// The project follows its compose file, its includes, its env files, and new rules; what is
// wrong changes nothing.
func TestAWatchedProjectFollowsItsFiles(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("follow", map[string]string{
		"compose.yaml": followedFile, "web.env": "X=1\n", "src/f": "1\n", "more/g": "1\n", "part.yaml": fmt.Sprintf(includedFile, "part", "1"),
	})
	h.must(dir, "up", "-d", "--watch")
	variables := func(want string) {
		t.Helper()
		h.shows(dir, "web", want, "sh", "-c", "echo $A $X")
	}
	variables("1 1")
	other := h.ps(dir)["follow-other-1"].ID
	edit(t, filepath.Join(dir, ".env"), "A=2\n")
	variables("2 1")
	tells := func(text string) {
		t.Helper()
		h.eventually(func() error { return want(h.run(dir, "-p", "follow", "watch", "--status").stdout, text) })
	}
	tells("Project follow now matches its files")
	edit(t, filepath.Join(dir, "web.env"), "X=2\n")
	variables("2 2")
	edit(t, filepath.Join(dir, "part.yaml"), fmt.Sprintf(includedFile, "part", "2"))
	h.shows(dir, "part", "2", "sh", "-c", "echo $B")
	// A file that is included from now on is followed too.
	edit(t, filepath.Join(dir, "deep.yaml"), fmt.Sprintf(includedFile, "deep", "1"))
	edit(t, filepath.Join(dir, "part.yaml"), "include: [deep.yaml]\n"+fmt.Sprintf(includedFile, "part", "2"))
	h.shows(dir, "deep", "1", "sh", "-c", "echo $B")
	edit(t, filepath.Join(dir, "deep.yaml"), fmt.Sprintf(includedFile, "deep", "2"))
	h.shows(dir, "deep", "2", "sh", "-c", "echo $B")
	edit(t, filepath.Join(dir, "compose.yaml"), strings.Replace(followedFile, "init: true", "inti: true", 1))
	tells("unknown key services.web.inti; did you mean `init`?")
	edit(t, filepath.Join(dir, "compose.yaml"), followedFile)
	tells("The files of project follow are right again: nothing to do")
	h.killDaemon()
	edit(t, filepath.Join(dir, "compose.yaml"), strings.Replace(followedFile, "{path: ./src, target: /src, action: sync}",
		"{path: ./more, target: /more, action: sync}", 1))
	tells("sync " + filepath.Join(dir, "more"))
	edit(t, filepath.Join(dir, "more/g"), "2\n")
	h.shows(dir, "web", "2", "cat", "/more/g")
	variables("2 2")
	if now := h.ps(dir)["follow-other-1"].ID; now != other {
		t.Error("what did not change was made anew")
	}
	h.must(dir, "down", "-t", "1")
	if r := h.run(dir, "watch", "--status"); !strings.Contains(r.stderr, "is not watched") {
		t.Errorf("after down: %s%s", r.stdout, r.stderr)
	}
}
