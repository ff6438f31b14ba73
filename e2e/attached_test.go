package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const chatty = `
services:
  web:
    image: busybox
    command: sh -c 'echo hi; echo err >&2; sleep 1; echo later; exit 3'
    depends_on: {db: {condition: service_completed_successfully}}
  db:
    image: busybox
    command: sh -c 'sleep 1; echo db'
  shot:
    image: busybox
    command: echo shot
`

// TestAttachedUpShowsEachLineOfContainersThatStartLate: web starts when the
// stream has long begun, and once more when its first run has ended.
func TestAttachedUpShowsEachLineOfContainersThatStartLate(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("late", map[string]string{"compose.yaml": chatty})
	for _, round := range []struct {
		name, db string
		args     []string
	}{
		{"the first time", "db-1    | db\n", []string{"up"}},
		{"again, where db is done", "", []string{"up"}},
		{"made anew", "db-1    | db\n", []string{"up", "--force-recreate"}},
	} {
		r := h.run(dir, round.args...)
		if r.code != 0 {
			t.Fatalf("%s: exit code %d\n%s%s", round.name, r.code, r.stdout, r.stderr)
		}
		lines := []string{"web-1   | hi\n", "web-1   | err\n", "web-1   | later\n", "web-1 exited with code 3\n", "shot-1  | shot\n"}
		if round.db != "" {
			lines = append(lines, round.db)
		} else if strings.Contains(r.stdout, "db-1    |") || strings.Contains(r.stdout, "db-1 exited") {
			t.Errorf("%s: an old run is shown:\n%s", round.name, r.stdout)
		}
		for _, line := range lines {
			if strings.Count(r.stdout, line) != 1 {
				t.Errorf("%s: not once %q in:\n%s", round.name, line, r.stdout)
			}
		}
	}
}

func TestRmLeavesContainersOfRunAlone(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("rm", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: 'true'}}\n"})
	h.must(dir, "up", "-d")
	id := strings.TrimSpace(h.must(dir, "run", "-d", "--name", "job", "a", "true"))
	h.eventually(func() error { return want(h.must(dir, "ps", "-a"), "Exited (0)") })
	r := h.run(dir, "rm", "-f")
	if r.code != 0 || r.stdout != "Going to remove rm-a-1\n" || strings.Contains(r.stderr, "job") {
		t.Errorf("got %+v", r)
	}
	if len(id) != 64 {
		t.Errorf("id %q", id)
	}
	if r := h.run(dir, "down"); !strings.Contains(r.stderr, " Container job Removed \n") {
		t.Errorf("down: %+v", r)
	}
	if r := h.run(dir, "down"); r.stderr != "" || r.code != 0 {
		t.Errorf("down of nothing: %+v", r)
	}
}

func TestRunOfACommandThatIsNotThereIsOne(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("lost", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: sleep 100, init: true}}\n"})
	if r := h.run(dir, "run", "--rm", "a", "nosuch"); r.code != 1 || !strings.Contains(r.stderr, "executable file not found in $PATH") {
		t.Errorf("run: %+v", r)
	}
	h.must(dir, "up", "-d")
	if r := h.run(dir, "exec", "a", "nosuch"); r.code != 126 {
		t.Errorf("exec: %+v", r)
	}
	if r := h.run(dir, "-p", "Bad!", "ps"); r.code != 1 || !strings.HasPrefix(r.stderr, `invalid project name "Bad!": must consist only of lowercase`) {
		t.Errorf("ps: %+v", r)
	}
}

func TestWaitNoticesAServiceThatEndsAtOnce(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("brief", map[string]string{"compose.yaml": "services: {a: {image: busybox, command: sh -c 'echo wrong; sleep 0.01; exit 3'}}\n"})
	// On a slow machine it may run for so long that it counts as ready.
	h.slow = 5
	h.eventually(func() error {
		r := h.run(dir, "up", "-d", "--wait", "--force-recreate")
		if r.code != 1 || !strings.Contains(r.stderr, "\ncontainer brief-a-1 exited (3)\n") {
			return fmt.Errorf("got %+v", r)
		}
		return nil
	})
}
