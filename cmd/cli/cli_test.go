package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/engine/spec"
)

const shop = `
services:
  web:
    image: busybox
    command: [serve]
    depends_on: [db]
  db:
    image: busybox
    command: [serve]
    volumes: ["data:/data"]
  tool:
    image: busybox
    profiles: [tools]
volumes:
  data:
`

func TestUpAgainChangesNothingAndDownTakesAllAway(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	o := h.must("up", "-d")
	for _, want := range []string{" Network shop_default Created \n", " Volume shop_data Created \n", " Container shop-web-1 Started \n"} {
		if !strings.Contains(o.err, want) {
			t.Errorf("%q is missing in:\n%s", want, o.err)
		}
	}
	if o.out != "" {
		t.Errorf("stdout: %q", o.out)
	}
	before := len(h.fake.Calls())
	o = h.must("up", "-d")
	if got := len(h.fake.Calls()); got != before || !strings.Contains(o.err, " Container shop-db-1 Running \n") {
		t.Errorf("%d changes:\n%s", got-before, o.err)
	}
	if got := h.must("ps", "--services").out; got != "db\nweb\n" {
		t.Errorf("ps: %q", got)
	}
	if got := h.must("ps", "--format", "{{.Name}} {{.State}}").out; got != "shop-db-1 running\nshop-web-1 running\n" {
		t.Errorf("ps: %q", got)
	}
	if got := h.must("ls", "-q").out; got != "shop\n" {
		t.Errorf("ls: %q", got)
	}
	o = h.must("down", "-v")
	if !strings.Contains(o.err, " Volume shop_data Removed \n") {
		t.Errorf("down:\n%s", o.err)
	}
	if got := h.must("ps", "-aq").out; got != "" {
		t.Errorf("ps: %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(h.place.State, "inputs", "*")); len(left) != 0 {
		t.Errorf("kept: %v", left)
	}
}

func TestGlobalFlagsStandBeforeAndAfterTheCommand(t *testing.T) {
	h := newHost(t)
	h.write("a.yaml", shop)
	h.write("b.yaml", "services: {web: {environment: {A: b}}}\n")
	for _, args := range [][]string{
		{"-f", "a.yaml", "-f", "b.yaml", "-p", "x", "config"},
		{"config", "-f", "a.yaml", "--file", "b.yaml", "--project-name", "x"},
		{"-f", "a.yaml", "config", "-f", "b.yaml", "-p", "x"},
	} {
		o := h.must(args...)
		if !strings.Contains(o.out, "name: x\n") || !strings.Contains(o.out, "A: b\n") {
			t.Errorf("%v:\n%s", args, o.out)
		}
	}
	o := h.run("-f", "a.yaml", "logs", "-f", "nosuch") // -f is follow there
	if o.code != 1 || o.err != "no such service: nosuch\nhint: the services are db, tool, web\n" {
		t.Errorf("got %+v", o)
	}
}

func TestCommandsByNameNeedNoFile(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	elsewhere := t.TempDir()
	if o := h.runIn(elsewhere, nil, "ps"); o.code != 1 || !strings.HasPrefix(o.err, "no configuration file provided: not found") {
		t.Errorf("got %+v", o)
	}
	if o := h.runIn(elsewhere, nil, "-p", "shop", "ps", "-q"); strings.Count(o.out, "\n") != 2 {
		t.Errorf("got %+v", o)
	}
	h.write("compose.yaml", "services: [")
	if o := h.run("up", "-d"); o.code != 1 {
		t.Errorf("a wrong file was taken: %+v", o)
	}
	if o := h.must("ps", "-q"); strings.Count(o.out, "\n") != 2 || !strings.Contains(o.err, "as it was") {
		t.Errorf("got %+v", o)
	}
	if o := h.runIn(elsewhere, nil, "-p", "shop", "down"); o.code != 0 {
		t.Errorf("got %+v", o)
	}
}

func TestWhatIsNotBuiltSaysSoAndIsNotInTheHelp(t *testing.T) {
	h := newHost(t)
	help := h.must("--help").out + h.must("up", "--help").out
	for _, c := range []struct{ args, want string }{
		{"commit a b", "not built yet: commit\n"},
		{"exec --dry-run web true", "not built yet: mycompose exec --dry-run\n"},
	} {
		o := h.run(strings.Fields(c.args)...)
		if o.code != 1 || o.err != c.want {
			t.Errorf("%s: got %d %q", c.args, o.code, o.err)
		}
	}
	for _, word := range []string{"  commit "} {
		if strings.Contains(help, word) {
			t.Errorf("help names %q", word)
		}
	}
}

func TestWrongUseIsToldAndChangesNothing(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	for _, c := range []struct{ args, want string }{
		{"nope", "unknown command \"nope\""},
		{"up --nope", "unknown flag: --nope"},
		{"up nosuch", "no such service: nosuch"},
		{"stop nosuch", "no such service: nosuch"},
		{"up --scale a=nope", "invalid scale specifier: can't parse replica value as int: a=nope"},
		{"up --pull bogus", `invalid --pull option "bogus"`},
		{"--progress bogus up", `unsupported --progress value "bogus"`},
		{"--ansi bogus up", "invalid value for --ansi"},
		{"exec web", "requires at least 2 arg(s), only received 1"},
		{"exec web true", `service "web" is not running`},
		{"exec --index 3 web true", `service "web" is not running container #3`},
		{"logs --since bogus", `invalid value for "since": failed to parse value as time or duration: "bogus"`},
		{"ps --filter foo=bar", "unknown filter foo"},
		{"ls --filter foo=x", "invalid filter 'foo'"},
		{"config nosuch", "no such service: nosuch"},
		{"up -d --build --no-build", "incompatible"},
	} {
		o := h.run(strings.Fields(c.args)...)
		if o.code != 1 || !strings.Contains(o.err, c.want) || o.out != "" {
			t.Errorf("%s: got %d, %q, %q", c.args, o.code, o.err, o.out)
		}
	}
	if calls := h.fake.Calls(); len(calls) != 0 {
		t.Errorf("changes: %v", calls)
	}
	if o := h.run("--progress", "json", "up", "nosuch"); o.err != `{"error":true,"message":"no such service: nosuch","hint":"the services are db, tool, web"}`+"\n" {
		t.Errorf("got %q", o.err)
	}
}

func TestEveryMistakeOfAFileHasItsPlace(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", "services:\n  web:\n    imgae: busybox\n    ports: ['99999:80']\n")
	o := h.run("up", "-d")
	if o.code != 1 || !strings.Contains(o.err, "compose.yaml:3:") || !strings.Contains(o.err, "compose.yaml:4:") {
		t.Errorf("got %d:\n%s", o.code, o.err)
	}
}

func TestAnUpWhoseDaemonDiesEndsAsItWouldHave(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	died := make(chan struct{})
	h.must("ls")
	armed := true
	h.fake.Fail = func(c backend.Call) error {
		if armed && strings.Contains(strings.ToLower(fmt.Sprint(c)), "start") {
			armed = false
			go func() { h.kill(); close(died) }()
			<-time.After(20 * time.Millisecond) // let the end begin
		}
		return nil
	}
	o := h.run("up", "-d")
	<-died
	if o.code != 0 || strings.Count(o.err, " Container shop-web-1 Started ") != 1 {
		t.Errorf("got %d:\n%s", o.code, o.err)
	}
	if got := h.must("ps", "-q").out; strings.Count(got, "\n") != 2 {
		t.Errorf("ps: %q", got)
	}
}

func TestLogsAreLedByTheirReplica(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	if got := h.must("logs").out; got != "db-1   | hello from shop-db-1\nweb-1  | hello from shop-web-1\n" {
		t.Errorf("got %q", got)
	}
	if got := h.must("logs", "--no-log-prefix", "web").out; got != "hello from shop-web-1\n" {
		t.Errorf("got %q", got)
	}
}

func TestExecReturnsTheCommandsCodeAndKeepsStreamsApart(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	if o := h.run("exec", "web", "true"); o.code != 7 || o.out != "to out\n" || o.err != "to err\n" {
		t.Errorf("got %+v", o)
	}
	if o := h.run("exec", "-T", "web", "nosuch"); o.code != 126 {
		t.Errorf("got %+v", o)
	}
}

func TestAttachedUpEndsWithItsContainersAndStopsThemOnCtrlC(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", "services:\n  once:\n    image: busybox\n    command: [exit, '3']\n")
	o := h.run("up")
	if o.code != 0 || !strings.Contains(o.out, "Attaching to once-1\n") || !strings.Contains(o.out, "once-1 exited with code 3\n") {
		t.Errorf("got %+v", o)
	}
	h.write("compose.yaml", "services:\n  stay:\n    image: busybox\n    command: [serve]\n")
	interrupts := make(chan os.Signal, 1)
	done := make(chan ended, 1)
	go func() { done <- h.runIn(h.dir, interrupts, "up") }() // received below
	for !running(h, "shop-stay-1") {
		time.Sleep(time.Millisecond)
	}
	interrupts <- os.Interrupt
	if o := <-done; o.code != 130 || !strings.Contains(o.err, "press Ctrl+C again to force") {
		t.Errorf("got %+v", o)
	}
	if running(h, "shop-stay-1") {
		t.Error("it runs on")
	}
}

// A container that ends while an operation of its project is at work may be
// about to start again, as the last one of a restart does.
func TestAttachedUpStaysWhileItsProjectIsWorkedOn(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", `services:
  stay: {image: busybox, command: [serve]}
  slow: {image: busybox, command: [serve], healthcheck: {test: [CMD, pending]}}
`)
	attached, waiting := make(chan ended, 1), make(chan ended, 1)
	go func() { attached <- h.runIn(h.dir, nil, "up", "stay") }() // both received below
	for !running(h, "shop-stay-1") {
		time.Sleep(time.Millisecond)
	}
	go func() { waiting <- h.run("up", "-d", "--wait", "slow") }()
	for !running(h, "shop-slow-1") {
		time.Sleep(time.Millisecond)
	}
	h.fake.Exit("shop-stay-1", 0)
	time.Sleep(300 * time.Millisecond) // long enough to give up, if it did
	containers, err := h.fake.Containers(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		if c.Blueprint.Name == "shop-stay-1" {
			if err := h.fake.StartContainer(t.Context(), c.Blueprint.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.fake.SetHealth("shop-slow-1", spec.HealthHealthy)
	if o := <-waiting; o.code != 0 {
		t.Errorf("the other up: %+v", o)
	}
	h.fake.Exit("shop-stay-1", 3)
	if o := <-attached; o.code != 0 || !strings.Contains(o.out, "stay-1 exited with code 3\n") {
		t.Errorf("got %+v", o)
	}
}

func running(h *host, name string) bool {
	containers, err := h.fake.Containers(h.t.Context(), "shop")
	return err == nil && slices.ContainsFunc(containers, func(c spec.Container) bool {
		return c.Blueprint.Name == name && c.Status.State == spec.StateRunning
	})
}

func TestRmAsksAndKillSaysWhenThereIsNothing(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	h.must("up", "-d")
	if o := h.must("rm"); o.err != "No stopped containers\n" {
		t.Errorf("got %+v", o)
	}
	h.must("stop", "web")
	if o := h.must("rm"); o.out != "Going to remove shop-web-1\n" || o.err != "" {
		t.Errorf("got %+v", o)
	}
	if o := h.must("rm", "-f"); !strings.Contains(o.err, " Container shop-web-1 Removed \n") {
		t.Errorf("got %+v", o)
	}
	h.must("kill")
	if o := h.must("kill"); o.err != "No container to kill\n" {
		t.Errorf("got %+v", o)
	}
}

func TestTimingsNameEveryStepAndTheCriticalPath(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	o := h.must("up", "-d", "--timings")
	table := o.err[strings.Index(o.err, "Timings of up in ms: files read "):]
	for _, want := range []string{"plan ", "check ", "keep project ", "create volume shop_data", "create network shop_default",
		"create container shop-db-1", "start container shop-db-1", "create container shop-web-1", "start container shop-web-1"} {
		if strings.Count(table, "   "+want) == 0 {
			t.Errorf("%q is missing in\n%s", want, table)
		}
	}
	if _, path, ok := strings.Cut(table, "Critical path:\n"); !ok || !strings.Contains(path, "files read") {
		t.Errorf("no path in\n%s", table)
	}
	if o := h.must("up", "-d", "--timings"); !strings.Contains(o.err, "files unchanged") || strings.Contains(o.err, "start container") {
		t.Errorf("a second up says\n%s", o.err)
	}
	if o := h.must("up", "-d"); strings.Contains(o.err, "Timings") {
		t.Errorf("told without being asked:\n%s", o.err)
	}
	if o := h.must("--progress", "json", "up", "-d", "--timings"); !strings.Contains(o.err, `{"critical_path":[`) || strings.Contains(o.err, "Timings") {
		t.Errorf("json:\n%s", o.err)
	}
	if o := h.run("up", "--timings", "--dry-run"); o.code != 1 || !strings.Contains(o.err, "--timings and --dry-run are incompatible") {
		t.Errorf("with --dry-run: %+v", o)
	}
}

func TestDryRunPrintsThePlanAndChangesNothing(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	o := h.must("up", "--dry-run")
	if !strings.Contains(o.out, "create container shop-web-1") || len(h.fake.Calls()) != 0 {
		t.Errorf("%v\n%s", h.fake.Calls(), o.out)
	}
}

func TestConfigPrintsNamesAndChecksQuietly(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	for _, c := range []struct{ args, want string }{
		{"config --services", "db\nweb\n"},
		{"config --services db", "db\n"},
		{"config --services web", "db\nweb\n"},
		{"config --volumes", "data\n"},
		{"config --profiles", "tools\n"},
		{"config --images", "busybox\n"},
		{"config -q", ""},
		{"version --short", "1.2.3\n"},
		{"version -f json", "{\"version\":\"v1.2.3\"}\n"},
		{"--version", "mycompose version v1.2.3\n"},
	} {
		if got := h.must(strings.Fields(c.args)...).out; got != c.want {
			t.Errorf("%s: got %q", c.args, got)
		}
	}
	if got := h.must("config", "db").out; strings.Contains(got, "web:") || !strings.Contains(got, "db:") {
		t.Errorf("config db:\n%s", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive {
		t.Error("config started a daemon")
	}
}

func TestSystemStopRefusesWhileContainersRunAndStartsNothing(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	if o := h.must("system", "stop"); o.err != "" || h.alive {
		t.Errorf("got %+v", o)
	}
	h.must("up", "-d")
	if o := h.run("system", "stop"); o.code != 1 || !strings.Contains(o.err, "2 containers run: shop-db-1, shop-web-1") {
		t.Errorf("got %+v", o)
	}
	h.must("system", "stop", "--all")
	if h.alive || running(h, "shop-web-1") {
		t.Error("something lives on")
	}
}

func TestSmallAnswersAreDockerComposes(t *testing.T) {
	h := newHost(t)
	h.write("compose.yaml", shop)
	if o := h.must("version", "--short"); o.out != "1.2.3\n" {
		t.Errorf("version: %q", o.out)
	}
	if o := h.must("down"); o.err != "" {
		t.Errorf("down of nothing that has a file: %q", o.err)
	}
	if o := h.must("-p", "elsewhere", "down"); !strings.Contains(o.err, `No resource found to remove for project \"elsewhere\".`) {
		t.Errorf("down of nothing: %q", o.err)
	}
	for _, command := range []string{"ps", "down", "stop", "logs", "up"} {
		if o := h.run("-p", "Bad!", command); o.code != 1 || !strings.HasPrefix(o.err, `invalid project name "Bad!": must consist only of `) {
			t.Errorf("%s: %+v", command, o)
		}
	}
}
