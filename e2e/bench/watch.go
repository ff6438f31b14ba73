package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mycompose/mycompose/e2e/resident"
)

// watched is a service whose files are synced, one that is restarted after a
// sync, and one that is built anew. Docker compose watches only what it could build.
const watched = `services:
  sync:
    image: busybox
    build: .
    init: true
    command: ["sleep", "%[1]d"]
    develop: {watch: [{action: sync, path: ./src, target: /src, ignore: [noise/]}]}
  again:
    image: busybox
    build: .
    init: true
    command: ["sh", "-c", "mkdir -p /pages; cp /page/* /pages/; exec httpd -f -p 80 -h /pages"]
    ports: ["8081:80"]
    develop: {watch: [{action: sync+restart, path: ./page, target: /page}]}
  made:
    image: bench/made%[1]d
    pull_policy: never
    build: ./made
    init: true
    command: ["httpd", "-f", "-p", "80", "-h", "/pages"]
    ports: ["8082:80"]
    develop: {watch: [{action: rebuild, path: ./made/pages}]}
`

// givenUp is how long a save is waited for. A peer that has not shown it by then
// counts with that: docker compose never does while an ignored file changes.
const givenUp = 10 * time.Second

// watching is one tool that watches its own copy of the project.
type watching struct {
	tool    *tool
	dir     string
	root    string    // of the container that is synced into, seen from here
	process *exec.Cmd // of a tool that watches in the foreground
}

// watch measures from a save to the moment at which the container has it, with
// and without a log written all the time into an ignored folder, and from a
// save to the answer of the restarted process.
func (b *bench) watch(rows map[string]*row) error {
	var all []*watching
	defer func() {
		for _, w := range all {
			w.end()
		}
	}()
	for i, t := range b.both() {
		w, err := b.startWatching(t, 200_000+i)
		if w != nil {
			all = append(all, w)
		}
		if err != nil {
			return err
		}
	}
	for _, w := range all {
		if err := w.ready(); err != nil {
			return err
		}
	}
	saves := func(r *row) error {
		late := map[*watching]bool{}
		for i := range b.rounds(30) {
			for _, w := range all {
				if late[w] {
					continue
				}
				took, err := w.save(fmt.Sprintf("save %s %d", r.key, i), givenUp)
				if err != nil && w.tool == b.ours {
					return err
				}
				late[w] = err != nil // once is enough
				r.put(w.tool, took)
			}
		}
		return nil
	}
	if r := rows["save"]; r != nil {
		if err := saves(r); err != nil {
			return err
		}
	}
	if r := rows["save-p99"]; r != nil {
		if err := b.tail(r, all); err != nil {
			return err
		}
	}
	if r := rows["save-noise"]; r != nil {
		stop := noise(all)
		err := saves(r)
		if err = errors.Join(err, stop()); err != nil {
			return err
		}
	}
	if r := rows["branch"]; r != nil {
		if err := b.branch(r, all); err != nil {
			return err
		}
	}
	pages := func(r *row, file, address string) error {
		for i := range b.rounds(6) {
			for _, w := range all {
				took, err := w.savePage(file, address, fmt.Sprintf("page %d\n", i))
				if err != nil {
					return err
				}
				r.put(w.tool, took)
				if cost := rows["restart-cost"]; cost != nil && w.tool == b.ours && r == rows["save-restart"] {
					if err := w.restartCost(cost); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	if r := rows["save-restart"]; r != nil { // restart-cost comes with it
		if err := pages(r, "page/index.html", "127.0.0.1:8081"); err != nil {
			return err
		}
	}
	if r := rows["save-rebuild"]; r != nil {
		if err := pages(r, "made/pages/index.html", "127.0.0.1:8082"); err != nil {
			return err
		}
	}
	if err := b.baseline(rows); err != nil {
		return err
	}
	var err error
	for _, w := range all {
		w.end()
		_, e := w.tool.run(w.dir, "down", "-v", "-t", "1")
		err = errors.Join(err, e)
	}
	all = nil
	return err
}

// startWatching brings a copy of the project up; mark is an argument by which
// its container is found.
func (b *bench) startWatching(t *tool, mark int) (*watching, error) {
	dir, err := b.project(fmt.Sprintf("watch%d", mark), fmt.Sprintf(watched, mark))
	if err != nil {
		return nil, err
	}
	files := map[string]string{"src/file": "0\n", "src/noise/log": "", "page/index.html": "first\n", "Dockerfile": "FROM busybox\n",
		"made/Dockerfile": "FROM busybox\nCOPY pages /pages\n", "made/pages/index.html": "first\n"}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return nil, err
		}
	}
	w := &watching{tool: t, dir: dir}
	if t == b.ours {
		_, err = t.run(dir, "up", "-d", "--watch")
	} else {
		classic := *t // BuildKit wants a plugin for it
		classic.env = append(t.env[:len(t.env):len(t.env)], "DOCKER_BUILDKIT=0")
		t = &classic
		w.tool = t
		if _, err = t.run(dir, "up", "-d"); err == nil {
			w.process = exec.Command(t.program, "watch", "--no-up", "--quiet")
			w.process.Dir, w.process.Env = dir, t.env
			err = t.world.do(w.process.Start)
		}
	}
	if err != nil {
		return w, err
	}
	pids := resident.WithArguments("sleep", fmt.Sprint(mark))
	if len(pids) == 0 {
		return w, errors.New("the container that is watched does not run")
	}
	w.root = fmt.Sprintf("/proc/%d/root", pids[0])
	return w, nil
}

// ready saves until a save is seen: what happens before a tool watches it need
// not notice.
func (w *watching) ready() (err error) {
	for i := range 30 {
		if _, err = w.save(fmt.Sprintf("try %d", i), 2*time.Second); err == nil {
			return nil
		}
	}
	return err
}

// end ends a foreground watch, by its pid.
func (w *watching) end() {
	if w.process == nil || w.process.Process == nil {
		return
	}
	_ = w.process.Process.Signal(syscall.SIGTERM)
	_ = w.process.Wait() // it was told to
	w.process = nil
}

// save writes a file as editors do, by rename, and looks for it in the
// container.
func (w *watching) save(text string, deadline time.Duration) (time.Duration, error) {
	began := time.Now()
	if err := replace(filepath.Join(w.dir, "src/file"), text); err != nil {
		return 0, err
	}
	for time.Since(began) < deadline {
		if raw, err := os.ReadFile(w.root + "/src/file"); err == nil && string(raw) == text {
			return time.Since(began), nil
		}
		time.Sleep(100 * time.Microsecond)
	}
	return deadline, fmt.Errorf("%s: a save is not visible after %s", w.tool.name, deadline)
}

// savePage is until the process that begins with the file answers with it.
func (w *watching) savePage(file, address, text string) (time.Duration, error) {
	began := time.Now()
	if err := replace(filepath.Join(w.dir, file), text); err != nil {
		return 0, err
	}
	for time.Since(began) < time.Minute {
		var body string
		_ = w.tool.world.do(func() (err error) {
			body, err = get(address)
			return err
		})
		if body == text {
			return time.Since(began), nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("%s: the page at %s does not change", w.tool.name, address)
}

// get asks for a page on the calling thread's network.
func get(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}}
	answer, err := client.Get("http://" + address + "/")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	return string(raw), err
}

func replace(path, text string) error {
	if err := os.WriteFile(path+"~", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

// noise writes into the ignored folders every 10 ms until it is stopped.
func noise(all []*watching) (stop func() error) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(10 * time.Millisecond):
			}
			for _, w := range all {
				if err := os.WriteFile(filepath.Join(w.dir, "src/noise/log"), []byte(time.Now().String()), 0o644); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	return func() error {
		close(quit)
		return <-done
	}
}
