package cli

import (
	"path/filepath"
	"strings"
	"testing"
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
