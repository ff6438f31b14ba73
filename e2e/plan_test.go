package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// plan says what up would do with each field that differs, changes nothing, and
// its exit code tells; explain knows why a container was last made.
func TestPlanAndExplainSayWhatWouldChangeAndWhy(t *testing.T) {
	h := newHost(t)
	h.busybox()
	const file = `services:
  a: {image: busybox, init: true, command: sleep 1000, environment: {DEBUG: "%s", PASSWORD: "%s"}}
  b: {image: busybox, command: sh -c 'exit 3', depends_on: [a]}
`
	write := func(dir, debug, password string) {
		t.Helper()
		if err := os.WriteFile(dir+"/compose.yaml", fmt.Appendf(nil, file, debug, password), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dir := h.project("why", map[string]string{"compose.yaml": ""})
	write(dir, "0", "one")
	check := func(code int, r outcome, texts ...string) {
		t.Helper()
		if r.code != code {
			t.Errorf("exit code %d, want %d\n%s%s", r.code, code, r.stdout, r.stderr)
		}
		for _, text := range texts {
			if err := want(r.stdout+r.stderr, text); err != nil {
				t.Error(err)
			}
		}
	}
	check(2, h.run(dir, "plan"), "project why: 5 steps", "create container why-a-1: does not exist")
	check(0, h.run(dir, "explain", "a"), "a has no container: it was never created", "next up    create container why-a-1: does not exist")
	check(0, h.run(dir, "up", "--dry-run", "-d"), "create container why-a-1: does not exist")
	if rows := h.ps(dir); len(rows) != 0 {
		t.Errorf("a plan made something: %v", rows)
	}
	check(0, h.run(dir, "up", "-d"))
	h.eventually(func() error { return want(h.must(dir, "ps", "-a"), "Exited (3)") })
	check(0, h.run(dir, "plan", "a"), "nothing to do", "unchanged: why-a-1")
	check(0, h.run(dir, "plan", "-q", "a"))
	before := h.ps(dir)
	write(dir, "1", "two")
	const changes = `environment.DEBUG "0" → "1"; environment.PASSWORD changed`
	text := h.run(dir, "plan")
	check(2, text, "create container why-a-1: "+changes)
	if dry := h.run(dir, "up", "--dry-run"); dry.code != 0 || dry.stdout != text.stdout {
		t.Errorf("up --dry-run: %d\n%s\nplan:\n%s", dry.code, dry.stdout, text.stdout)
	}
	r := h.run(dir, "plan", "--format", "json")
	check(2, r)
	var plan struct {
		Project string
		Steps   []struct {
			ID, Cause string
			Reasons   []string
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	found := false
	for _, step := range plan.Steps {
		if step.ID == "create why-a-1" {
			found = len(step.Reasons) == 2 && step.Reasons[0] == `environment.DEBUG "0" → "1"` && step.Cause == changes
		}
	}
	if !found || plan.Project != "why" {
		t.Errorf("got %s", r.stdout)
	}
	if strings.Contains(r.stdout, "one") || strings.Contains(r.stdout, "two") {
		t.Errorf("a password is shown: %s", r.stdout)
	}
	if now := h.ps(dir); now["why-a-1"].ID != before["why-a-1"].ID {
		t.Error("plan changed something")
	}
	check(0, h.run(dir, "up", "-d"))
	h.eventually(func() error { return want(h.must(dir, "ps", "-a"), "Exited (3)") })
	check(0, h.run(dir, "explain", "a", "b"), "why-a-1  running for ", "recreated", "ago: "+changes, "next up    nothing to do",
		"why-b-1  exited for ", "it ended with exit code 3", "restart: no, so it is not started again", "next up    start container why-b-1: has exited (3)")
	check(0, h.run("", "-p", "why", "explain", "a"), "ago: "+changes, "next up    unknown: there is no compose file here")
	check(1, h.run(dir, "explain", "nosuch"), "no such service: nosuch")
	check(1, h.run(dir, "explain"), "requires at least 1 arg(s), only received 0")
	check(1, h.run(dir, "plan", "--format", "xml"), `unsupported format "xml": text or json`)
	write(dir, "1\"\n  x: [", "")
	check(1, h.run(dir, "plan"), "compose.yaml:")
	h.must("", "-p", "why", "down", "-t", "1")
}
