package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const various = `
services:
  web:
    image: busybox
    command: httpd -f -p 80
    ports: ["127.0.0.1:%d:80"]
    expose: [99]
    volumes: [data:/data]
  side:
    image: busybox
    command: sh -c 'sleep 1000'
    init: true
    labels: {com.example.kind: helper}
volumes: {data: {}}
`

// What a project's containers are and do is told in docker compose's words,
// columns and exit codes.
func TestCommandsThatTell(t *testing.T) {
	h := newHost(t)
	h.busybox()
	port := freePort(t)
	dir := h.project("tell", map[string]string{"compose.yaml": fmt.Sprintf(various, port)})
	if r := h.run(dir, "create"); r.code != 0 || strings.Contains(r.stderr, "Starting") || !strings.Contains(r.stderr, " Container tell-web-1 Created \n") {
		t.Errorf("create: %+v", r)
	}
	if r := h.run(dir, "ps", "-a", "--format", "{{.State}}"); r.stdout != "created\ncreated\n" {
		t.Errorf("after create: %+v", r)
	}
	h.must(dir, "start")
	for _, c := range []struct {
		args         string
		code         int
		stdout, text string // a pattern of the whole; part of stderr
	}{
		{"port web 80", 0, fmt.Sprintf(`127\.0\.0\.1:%d\n`, port), ""},
		{"port web 99", 1, ``, "no port 99/tcp for container tell-web-1: 80/tcp, 99/tcp\n"},
		{"port --protocol udp web 80", 1, ``, "no port 80/udp for container tell-web-1"},
		{"port nosuch 80", 1, ``, "no such service: nosuch\n"},
		{"port --index 2 web 80", 1, ``, "service \"web\" is not running container #2\n"},
		{"port web x", 1, ``, "invalid port \"x\""},
		{"images", 0, `CONTAINER +REPOSITORY +TAG +PLATFORM +IMAGE ID +SIZE +CREATED\ntell-side-1 +busybox +latest +linux/\w+ +[0-9a-f]{12} .*\ntell-web-1 .*\n`, ""},
		{"images -q", 0, `[0-9a-f]{64}\n`, ""},
		{"volumes", 0, `DRIVER    VOLUME NAME\nlocal     tell_data\n`, ""},
		{"volumes -q side", 0, ``, ""},
		{"volumes -q web", 0, `tell_data\n`, ""},
		{"top side", 0, `SERVICE  #   UID +PID +PPID +C +STIME +TTY +TIME +CMD\nside     1   root .*\n(side .*\n)+`, ""},
		{"top nosuch", 1, ``, "no such service: nosuch\n"},
		{"stats --no-stream", 0, `CONTAINER ID   NAME +CPU % +MEM USAGE / LIMIT +MEM % +NET I/O +BLOCK I/O +PIDS\n[0-9a-f]{12}   tell-side-1 +.*\n[0-9a-f]{12}   tell-web-1 .*\n`, ""},
		{"stats --no-stream --format json side", 0, `\{"BlockIO":".*","CPUPerc":"[\d.]+%","Container":"[0-9a-f]{64}","ID":"[0-9a-f]{12}","MemPerc":"[\d.]+%","MemUsage":".*iB / .*iB","Name":"tell-side-1","NetIO":".*","PIDs":"\d+"\}\n`, ""},
		{"wait nosuch", 1, ``, "no such service: nosuch\n"},
		{"scale side", 1, ``, "invalid scale specifier: side\n"},
		{"pause nosuch", 1, ``, "no such service: nosuch\n"},
	} {
		r := h.run(dir, strings.Fields(c.args)...)
		if ok, err := regexp.MatchString(`^(?:`+c.stdout+`)$`, r.stdout); err != nil || !ok || r.code != c.code || !strings.Contains(r.stderr, c.text) {
			t.Errorf("%s: %d\n%s%s%v", c.args, r.code, r.stdout, r.stderr, err)
		}
	}
}

// A paused container does nothing, is said to be paused by the next daemon too,
// and ends when it is stopped.
func TestPauseHoldsAcrossDaemonsAndEndsWithAStop(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("frozen", map[string]string{"compose.yaml": `
services:
  a:
    image: busybox
    command: sh -c 'trap "exit 5" TERM; while true; do date +%s%N > /shared/now; sleep 0.02; done'
    volumes: [./shared:/shared]
    healthcheck: {test: "true", interval: 1s}
`, "shared/now": ""})
	h.must(dir, "up", "-d")
	if r := h.run(dir, "pause"); r.code != 0 || r.stderr != " Container frozen-a-1 Paused \n" {
		t.Errorf("pause: %+v", r)
	}
	if r := h.run(dir, "pause"); r.code != 0 || r.stderr != "" {
		t.Errorf("pause again: %+v", r)
	}
	if r := h.run(dir, "exec", "-T", "a", "true"); r.code != 1 || !strings.Contains(r.stderr, "is paused, unpause the container before exec") {
		t.Errorf("exec: %+v", r)
	}
	h.killDaemon()
	if row := h.ps(dir)["frozen-a-1"]; row.State != "paused" || !strings.HasSuffix(row.Status, "(Paused)") {
		t.Errorf("with another daemon: %+v", row)
	}
	if r := h.run(dir, "up", "-d"); r.code != 0 || h.ps(dir)["frozen-a-1"].State != "paused" {
		t.Errorf("up: %+v", r)
	}
	if r := h.run(dir, "unpause"); r.code != 0 || r.stderr != " Container frozen-a-1 Unpaused \n" {
		t.Errorf("unpause: %+v", r)
	}
	h.must(dir, "exec", "-T", "a", "true")
	h.must(dir, "pause", "a")
	if r := h.run(dir, "stop", "-t", "60"); r.code != 0 {
		t.Errorf("stop: %+v", r)
	}
	if row := h.ps(dir)["frozen-a-1"]; row.State != "exited" || row.ExitCode != 5 {
		t.Errorf("after stop: %+v", row)
	}
}

// Events tell what happens, from the past too, and end at a signal.
func TestEventsTellWhatHappens(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("happen", map[string]string{"compose.yaml": fmt.Sprintf(various, freePort(t))})
	h.must(dir, "up", "-d", "side")
	h.must(dir, "exec", "-T", "side", "true")
	h.must(dir, "pause")
	h.must(dir, "unpause")
	h.must(dir, "kill", "side")
	cmd := h.command(context.Background(), dir, "events", "--json", "--since", "1h", "side")
	var stdout bytes.Buffer
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "rm", "-f")
	var actions []string
	decoder := json.NewDecoder(out)
	for len(actions) == 0 || actions[len(actions)-1] != "destroy" {
		var e struct {
			Action, ID, Service, Time, Type string
			Attributes                      map[string]string
		}
		if err := decoder.Decode(&e); err != nil {
			t.Fatalf("%v after %q", err, actions)
		}
		if e.Service != "side" || e.Type != "container" || len(e.ID) != 64 || e.Attributes["com.example.kind"] != "helper" || e.Attributes["name"] != "happen-side-1" {
			t.Errorf("event %+v", e)
		}
		if e.Action == "die" && e.Attributes["exitCode"] != "137" || e.Action == "kill" && e.Attributes["signal"] != "9" {
			t.Errorf("event %+v", e)
		}
		actions = append(actions, e.Action)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = waitFor(t, cmd)
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, %s", code, stdout.String())
	}
	want := []string{"create", "start", "exec_create: true", "exec_start: true", "exec_die", "pause", "unpause", "kill", "die", "stop", "destroy"}
	for _, action := range want {
		if !strings.Contains(strings.Join(actions, "\n")+"\n", action+"\n") {
			t.Errorf("no %q in %q", action, actions)
		}
	}
	past := h.run(dir, "events", "--since", "1h", "--until", "0s")
	if past.code != 0 || !regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} container create [0-9a-f]{64} \(com.example.kind=helper, image=busybox, name=happen-side-1\)\n\n`).MatchString(past.stdout) {
		t.Errorf("the past: %+v", past)
	}
}

const aborting = `
services:
  test:
    image: busybox
    command: sh -c 'sleep 0.5; echo tested; exit %d'
    depends_on: {prepare: {condition: service_completed_successfully}}
  prepare:
    image: busybox
    command: echo prepared
  server:
    image: busybox
    command: sh -c 'trap "exit 6" TERM; echo serving; while true; do sleep 0.05; done'
`

// An attached up ends all when one has ended, and ends as that one or as the
// service asked for; a service whose completion another one waits for does not
// count.
func TestAttachedUpEndsWithAContainer(t *testing.T) {
	h := newHost(t)
	h.busybox()
	for _, c := range []struct {
		name string
		code int
		args []string
		rc   int
		not  string
	}{
		{"exit", 3, []string{"--abort-on-container-exit"}, 3, ""},
		{"good", 0, []string{"--abort-on-container-exit"}, 0, ""},
		{"failure", 3, []string{"--abort-on-container-failure", "--no-attach", "server"}, 3, "server-1"},
		{"from", 0, []string{"--exit-code-from", "server", "--attach", "test"}, 6, "server-1"},
	} {
		dir := h.project("abort-"+c.name, map[string]string{"compose.yaml": fmt.Sprintf(aborting, c.code)})
		r := h.run(dir, append([]string{"up"}, c.args...)...)
		if r.code != c.rc || !strings.Contains(r.stderr, " Compose Stopping Aborting on container exit...\n") ||
			!strings.Contains(r.stderr, "-server-1 Stopped \n") || !strings.Contains(r.stdout, "test-1") || !strings.Contains(r.stdout, "tested\n") {
			t.Errorf("%s: %d\n%s%s", c.name, r.code, r.stdout, r.stderr)
		}
		if c.not != "" && strings.Contains(r.stdout, c.not+" ") {
			t.Errorf("%s: %q is shown:\n%s", c.name, c.not, r.stdout)
		}
		for name, row := range h.ps(dir) {
			if row.State != "exited" {
				t.Errorf("%s: %s is %s", c.name, name, row.State)
			}
		}
	}
	dir := h.project("abort-wrong", map[string]string{"compose.yaml": fmt.Sprintf(aborting, 0)})
	for args, text := range map[string]string{
		"up --exit-code-from nosuch": "no such service: nosuch: not found\n",
		"up --attach nosuch":         "no such service: nosuch\nhint: the services are prepare, server, test\n",
		"up -d --attach test":        "--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch\n",
	} {
		if r := h.run(dir, strings.Fields(args)...); r.code != 1 || !strings.HasPrefix(r.stderr, text) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if r := h.run(dir, "ps", "-a", "-q"); r.stdout != "" {
		t.Errorf("something was made: %+v", r)
	}
}

// -V gives what is made anew fresh anonymous volumes; --always-recreate-deps
// makes what the named service depends on anew.
func TestUpRenewsVolumesAndDependencies(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("anew", map[string]string{"compose.yaml": `
services:
  a: {image: busybox, command: sleep 1000, init: true, depends_on: [b]}
  b: {image: busybox, command: sleep 1000, init: true, volumes: [/data]}
`})
	h.must(dir, "up", "-d")
	h.must(dir, "exec", "-T", "b", "touch", "/data/mine")
	h.must(dir, "up", "-d", "--force-recreate", "b")
	h.must(dir, "exec", "-T", "b", "test", "-e", "/data/mine")
	before := h.ps(dir)
	h.must(dir, "up", "-d", "--always-recreate-deps", "a")
	after := h.ps(dir)
	if before["anew-b-1"].ID == after["anew-b-1"].ID || before["anew-a-1"].ID != after["anew-a-1"].ID {
		t.Errorf("before %v, after %v", before, after)
	}
	h.must(dir, "exec", "-T", "b", "test", "-e", "/data/mine")
	h.must(dir, "up", "-d", "--force-recreate", "-V", "b")
	if r := h.run(dir, "exec", "-T", "b", "test", "-e", "/data/mine"); r.code != 1 {
		t.Errorf("the volume is the old one: %+v", r)
	}
}

// attach shows what the first process writes and passes keys to it.
func TestAttachJoinsTheFirstProcess(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("join", map[string]string{"compose.yaml": `
services:
  sh: {image: busybox, command: sh, stdin_open: true}
`})
	h.must(dir, "up", "-d")
	cmd := h.command(context.Background(), dir, "attach", "sh")
	cmd.Stdin = strings.NewReader("echo hello from $((40+2)); exit 9\n")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err := waitFor(t, cmd)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 9 || stdout.String() != "hello from 42\n" {
		t.Errorf("%v, %q, %q", err, stdout.String(), stderr.String())
	}
	if r := h.run(dir, "attach", "sh"); r.code != 1 || !strings.HasPrefix(r.stderr, "service \"sh\" is not running\n") {
		t.Errorf("ended: %+v", r)
	}
}
