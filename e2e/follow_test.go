package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// following is a command whose output is read while it runs.
type following struct {
	mu    sync.Mutex
	lines []string
	done  chan struct{}
}

func (f *following) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.lines, "")
}

const counting = `
services:
  a:
    image: busybox
    command: sh -c 'trap "exit 0" TERM; echo begin $$HOSTNAME; i=0; while true; do i=$$((i+1)); echo $$HOSTNAME $$i; sleep 0.05; done'
    hostname: ${NAME:-one}
`

// logs -f goes on through a restart, a recreate and new replicas, shows each line
// once, and ends when nothing runs any more.
func TestLogsFollowThroughRestartRecreateAndScale(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("chase", map[string]string{"compose.yaml": counting})
	h.must(dir, "up", "-d")
	cmd := h.command(context.Background(), dir, "logs", "-f", "--no-color")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f := &following{done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			f.mu.Lock()
			f.lines = append(f.lines, line)
			f.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	sees := func(what string, times int) {
		t.Helper()
		h.eventually(func() error {
			if n := strings.Count(f.text(), what); n < times {
				return fmt.Errorf("%q is shown %d times, not %d:\n%s", what, n, times, f.text())
			}
			return nil
		})
	}
	sees("a-1  | one 3\n", 1)
	h.must(dir, "restart", "-t", "10")
	sees("a-1  | begin one\n", 2)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("NAME=two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "up", "-d")
	sees("a-1  | begin two\n", 1)
	h.must(dir, "up", "-d", "--scale", "a=2")
	sees("a-2  | begin two\n", 1)
	sees("a-2  | two 3\n", 1)
	h.killDaemon()
	h.must(dir, "restart", "-t", "10", "a")
	sees("a-1  | begin two\n", 2)
	sees("a-2  | begin two\n", 2)
	h.must(dir, "stop")
	<-f.done
	if err := waitFor(t, cmd); err != nil {
		t.Errorf("logs: %v", err)
	}
	text := f.text()
	for what, times := range map[string]int{"a-1  | begin one\n": 2, "a-1  | begin two\n": 2, "a-2  | begin two\n": 2} {
		if n := strings.Count(text, what); n != times {
			t.Errorf("%q is shown %d times, not %d", what, n, times)
		}
	}
	// Each run's numbers stand there without a gap and once.
	next := map[string]int{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 4 || words[1] != "|" {
			continue
		}
		if words[2] == "begin" {
			next[words[0]] = 1
			continue
		}
		if n := next[words[0]]; words[3] != strconv.Itoa(n) {
			t.Fatalf("%q comes for %d", line, n)
		}
		next[words[0]]++
	}
	if r := h.run(dir, "logs", "-f"); r.code != 0 || strings.Contains(r.stdout, "exited with code") {
		t.Errorf("logs -f of what has ended: %d %s", r.code, r.stderr)
	}
}

// A name that is taken is refused before anything is made.
func TestATakenNameIsRefusedBeforeAnythingIsMade(t *testing.T) {
	h := newHost(t)
	h.busybox()
	first := h.project("first", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: sleep 1000, init: true, container_name: mine}}\n"})
	h.must(first, "up", "-d")
	dir := h.project("second", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: 'true', depends_on: [b]}, b: {image: busybox, command: 'true'}}\n"})
	if r := h.run(dir, "run", "--rm", "--name", "mine", "a"); r.code != 1 || !strings.Contains(r.stderr, "the name is in use by container ") || strings.Contains(r.stderr, "Network") {
		t.Errorf("run: %+v", r)
	}
	other := h.project("third", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: 'true', container_name: mine}}\n"})
	if r := h.run(other, "up", "-d"); r.code != 1 || !strings.Contains(r.stderr, "of project first") || strings.Contains(r.stderr, "Network") {
		t.Errorf("up: %+v", r)
	}
	h.must(dir, "run", "-d", "--name", "job", "a", "true")
	if r := h.run(dir, "run", "-d", "--name", "job", "a", "true"); r.code != 1 || !strings.Contains(r.stderr, "the name is in use") {
		t.Errorf("the same name again: %+v", r)
	}
	if r := h.run(dir, "ps", "--orphans=false", "-a", "-q"); r.code != 0 {
		t.Errorf("ps: %+v", r)
	}
}

// ps leaves out containers of services that the file has no longer when asked.
func TestPsKnowsOrphans(t *testing.T) {
	h := newHost(t)
	h.busybox()
	file := "services: {a: {image: busybox, command: sleep 1000, init: true}, b: {image: busybox, command: sleep 1000, init: true}}\n"
	dir := h.project("parents", map[string]string{"compose.yaml": file})
	h.must(dir, "up", "-d")
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services: {a: {image: busybox, command: sleep 1000, init: true}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := h.must(dir, "ps", "--services"); got != "a\nb\n" {
		t.Errorf("with orphans: %q", got)
	}
	if got := h.must(dir, "ps", "--services", "--orphans=false"); got != "a\n" {
		t.Errorf("without: %q", got)
	}
	for args, code := range map[string]int{"ps --filter status=running -q": 0, "ps --filter foo=x": 1, "ps --status paused -q": 0, "ps --format {{.Nope}}": 1} {
		if r := h.run(dir, strings.Fields(args)...); r.code != code {
			t.Errorf("%s: %+v", args, r)
		}
	}
}

// down --rmi takes what was built, also what a later build has taken the name
// from.
func TestDownRemovesImages(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("rmi", map[string]string{
		"compose.yaml": "services: {a: {build: ., command: sleep 1000, init: true}, b: {image: busybox, command: sleep 1000, init: true}}\n",
		"Dockerfile":   "FROM busybox\nRUN echo one > /x\n",
	})
	h.must(dir, "up", "-d")
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM busybox\nRUN echo two > /x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "build", "-q")
	if got := strings.Count(h.must("", "image", "ls", "--format", "{{.Repository}}"), "<none>"); got != 1 {
		t.Fatalf("%d images without a name", got)
	}
	r := h.run(dir, "down", "--rmi", "local")
	if r.code != 0 || !strings.Contains(r.stderr, " Image rmi-a Removed \n") || strings.Contains(r.stderr, "Image busybox") {
		t.Errorf("down: %+v", r)
	}
	if got := h.must("", "image", "ls", "--format", "{{.Repository}}"); got != "busybox\n" {
		t.Errorf("left: %q", got)
	}
	h.must(dir, "up", "-d")
	h.must(dir, "down", "--rmi", "all")
	if got := h.must("", "image", "ls", "--format", "{{.Repository}}"); got != "" {
		t.Errorf("left: %q", got)
	}
}
