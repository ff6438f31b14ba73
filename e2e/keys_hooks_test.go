package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const hookKeys = `
services:
  db:
    <<: *base
    user: "7"
    environment: {A: service}
    volumes: ["told:/told"]
    post_start:
      - {command: ["sh", "-c", "chmod 777 /told; echo up $$(id -u) $$A $$PWD >> /told/all; chmod 666 /told/all"], user: root, working_dir: /tmp, environment: [A=hook]}
      - command: sh -c "echo second $$(id -u) $$A >> /told/all"
    pre_stop:
      - {command: ["sh", "-c", "echo down >> /told/all; while [ -e /told/hang ]; do sleep 0.1; done"]}
  web:
    <<: *base
    command: ["sh", "-c", "cat /told/all; exec sleep 1000"]
    depends_on: [db]
    volumes: ["told:/told"]
  short:
    <<: *base
    profiles: [once]
    post_start: [{command: sleep 1000}]
  talks:
    <<: *base
    profiles: [once]
    post_start: [{command: ["sh", "-c", "until [ -e /tmp/go ]; do sleep 0.05; done; touch /tmp/done"]}]
volumes: {told: }
`

// Hooks run after each start and before each stop that somebody asked for, in
// order and as who they say; dependants start after them; one that fails fails the
// up and is due at the next.
func TestHooksRunAfterStartAndBeforeStop(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.keys("hooks", hookKeys, nil)
	once := "up 0 hook /tmp second 7 service"
	h.looks(dir, []look{{"post_start", "web", "cat /told/all", once}})
	if got := h.lines(dir, "web"); got != once {
		t.Errorf("web began with %q in place of the hooks' %q", got, once)
	}
	h.must(dir, "restart", "--no-deps", "db")
	h.must(dir, "kill", "db")
	h.must(dir, "start", "db")
	h.looks(dir, []look{{"pre_stop", "web", "cat /told/all", once + " down " + once + " " + once}})

	if got := h.must(dir, "run", "--rm", "short", "echo", "hi"); got != "hi\n" {
		t.Errorf("a run that ends before its hook does says %q", got)
	}

	h.talks(dir)

	path := filepath.Join(dir, "compose.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(good), "echo second", "echo broken >&2; exit 4; echo", 1))
	for _, up := range [][]string{{"up", "-d"}, {"up", "-d"}, {"up"}} { // attached, too
		r := h.run(dir, up...)
		if want := "post_start hook of hooks-db-1 exited with status 4: broken"; r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("exit code %d, want 1 and %q in:\n%s", r.code, want, r.stderr)
		}
	}
	write(string(good))
	h.must(dir, "up", "-d")
	h.hang(dir)
}

// talks runs a container whose hook waits for what it is told by our input.
func (h *host) talks(dir string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := h.command(ctx, dir, "run", "--rm", "-T", "talks", "sh", "-c",
		"read x; touch /tmp/go; until [ -e /tmp/done ]; do sleep 0.05; done; echo got $x")
	cmd.Stdin = strings.NewReader("hi\n")
	if out, err := cmd.Output(); err != nil || string(out) != "got hi\n" {
		h.t.Errorf("a run whose hook waits for it: %v, %q", err, out)
	}
}

// hang interrupts stops whose hook does not end: nobody must wait for it, and a
// kill does so too. The daemon's end does not: the next one waits for the same hook.
func (h *host) hang(dir string) {
	h.t.Helper()
	h.must(dir, "exec", "-T", "web", "touch", "/told/hang")
	h.hangUntil(dir, 130, func(stop *os.Process) {
		if err := stop.Signal(os.Interrupt); err != nil {
			h.t.Fatal(err)
		}
	})
	if row := h.ps(dir)["hooks-db-1"]; row.State != "running" {
		h.t.Errorf("after an interrupted stop: %+v", row)
	}
	h.hangUntil(dir, 130, func(*os.Process) { h.must(dir, "kill", "db") })

	h.must(dir, "start", "db")
	h.hangUntil(dir, 0, func(*os.Process) {
		if !h.killDaemon() {
			h.t.Fatal("there is no daemon to kill")
		}
		h.must(dir, "exec", "-T", "web", "rm", "/told/hang")
	})
	if got := h.must(dir, "exec", "-T", "web", "grep", "-c", "down", "/told/all"); got != "1\n" {
		h.t.Errorf("a hook that outlived its daemon was run again: %s in all", got)
	}
}

// hangUntil stops db, whose hook hangs, until end has it end with an exit code.
func (h *host) hangUntil(dir string, code int, end func(stop *os.Process)) {
	h.t.Helper()
	h.must(dir, "exec", "-T", "web", "sh", "-c", "echo again > /told/all")
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	stop := h.command(ctx, dir, "stop", "db")
	if err := stop.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.eventually(func() error { return want(h.must(dir, "exec", "-T", "web", "cat", "/told/all"), "down") })
	end(stop.Process)
	_ = stop.Wait() // the exit code tells
	if got := stop.ProcessState.ExitCode(); got != code {
		h.t.Errorf("exit code %d of a stop whose hook hung, want %d", got, code)
	}
}
