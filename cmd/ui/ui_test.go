package ui

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

var update = flag.Bool("update", false, "record golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs.\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

var now = time.Date(2026, 11, 21, 8, 44, 29, 0, time.UTC)

func screen(mode Mode, change func(*Options)) (s *Screen, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	o := Options{Out: out, Err: err, Mode: mode, Now: func() time.Time { return now }}
	if change != nil {
		change(&o)
	}
	return New(o), out, err
}

var events = []event.Event{
	{Kind: event.KindResource, ID: "Network shop_default", Status: event.Working, Text: "Creating"},
	{Kind: event.KindResource, ID: "Network shop_default", Status: event.Done, Text: "Created"},
	{Kind: event.KindWarning, Details: "Found orphan containers (\"x\")"},
	{Kind: event.KindResource, ID: "Image redis", Status: event.Working, Text: "Pulling"},
	{Kind: event.KindResource, ID: "layer ab", ParentID: "Image redis", Status: event.Working, Text: "Downloading", Current: 10, Total: 40},
	{Kind: event.KindOutput, ID: "sha256:c", Status: event.Working, Text: "[2/3] RUN echo hello"},
	{Kind: event.KindResource, ID: "Container shop-web-1", Status: event.Working, Text: "Recreate", Details: `environment.DEBUG "0" → "1"`},
	{Kind: event.KindResource, ID: "Container shop-a-1", Status: event.Error, Text: "Error", Details: "dependency a failed to start"},
	{Kind: event.KindResult, Result: &event.Result{}},
}

func TestProgressHasDockerComposesForm(t *testing.T) {
	for _, mode := range []Mode{ModePlain, ModeJSON, ModeQuiet} {
		t.Run(string(mode), func(t *testing.T) {
			s, out, err := screen(mode, nil)
			p := s.Progress(ProgressOptions{Title: "up"})
			for _, e := range events {
				p.Show(e)
			}
			p.Close()
			s.Error(errors.New("no such service: nosuch"))
			golden(t, "progress-"+string(mode), []byte("out:\n"+out.String()+"err:\n"+err.String()))
		})
	}
}

func TestPlainLineHasOneSpaceBetweenWordsAndOneAtTheEnd(t *testing.T) {
	if got := plain(event.Event{ID: "Container shop-web-1", Text: "Created"}); got != " Container shop-web-1 Created " {
		t.Errorf("%q", got)
	}
}

func TestQuietPullKeepsErrorsOfImages(t *testing.T) {
	s, _, err := screen(ModePlain, nil)
	p := s.Progress(ProgressOptions{QuietPull: true})
	p.Show(event.Event{Kind: event.KindResource, ID: "Image redis", Status: event.Working, Text: "Pulling"})
	p.Show(event.Event{Kind: event.KindResource, ID: "Image redis", Status: event.Error, Text: "Error", Details: "no route"})
	if err.String() != " Image redis Error no route\n" {
		t.Errorf("%q", err.String())
	}
}

func TestModesAndColoursFollowTerminalAndFlags(t *testing.T) {
	cases := []struct {
		name   string
		o      Options
		mode   Mode
		colour bool
	}{
		{"a file gets plain lines", Options{}, ModePlain, false},
		{"a terminal gets the block and colour", Options{OutTerminal: true, ErrTerminal: true}, ModeTTY, true},
		{"NO_COLOR takes the colour only", Options{OutTerminal: true, ErrTerminal: true, NoColor: true}, ModeTTY, false},
		{"CI gets plain lines on a terminal too", Options{OutTerminal: true, ErrTerminal: true, Calm: true}, ModePlain, true},
		{"FORCE_COLOR colours a file", Options{ForceColor: true}, ModePlain, true},
		{"NO_COLOR wins", Options{ForceColor: true, NoColor: true}, ModePlain, false},
		{"--ansi never takes both", Options{OutTerminal: true, ErrTerminal: true, ANSI: "never"}, ModePlain, false},
		{"--ansi always colours a file", Options{ANSI: "always", NoColor: true}, ModePlain, true},
		{"--progress tty works in a file", Options{Mode: ModeTTY}, ModeTTY, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := New(c.o)
			if s.Mode() != c.mode || s.colour(c.o.OutTerminal) != c.colour {
				t.Errorf("got %s, %v", s.Mode(), s.colour(c.o.OutTerminal))
			}
		})
	}
	if _, err := ParseMode("bogus"); err == nil || err.Error() != `unsupported --progress value "bogus"` {
		t.Error(err)
	}
}

func containers() []spec.Container {
	at := func(d time.Duration) time.Time { return now.Add(-d) }
	label := func(service string) map[string]string {
		return map[string]string{"com.docker.compose.service": service, "com.docker.compose.project": "xx"}
	}
	return []spec.Container{
		{Blueprint: spec.Blueprint{ID: strings.Repeat("ab", 32), Name: "xx-db-1", Image: "redis", Labels: label("db")},
			Status: spec.Status{State: spec.StateExited, CreatedAt: at(time.Hour), ExitedAt: at(2 * time.Second), ExitCode: 137,
				OOMKilled: true, Reason: "out of memory", Command: []string{"redis-server"}}},
		{Blueprint: spec.Blueprint{ID: strings.Repeat("cd", 32), Name: "xx-web-1", Image: "busybox", Labels: label("web"),
			Networks: []spec.Attachment{{Network: "xx_default"}},
			Mounts:   []spec.Mount{{Type: spec.MountVolume, Source: "xx_data", Target: "/d"}, {Type: spec.MountBind, Source: "/app", Target: "/app"}, {Type: spec.MountTmpfs, Target: "/t"}}},
			Status: spec.Status{State: spec.StateRunning, Health: spec.HealthHealthy, CreatedAt: at(4 * time.Second), StartedAt: at(3 * time.Second),
				Command: []string{"sh", "-c", "mkdir -p /www && httpd"}, ExposedPorts: []string{"80/tcp", "99/tcp"},
				Ports: []spec.Port{{HostPort: 18320, ContainerPort: 80, Protocol: "tcp"}, {HostIP: "127.0.0.1", HostPort: 18321, ContainerPort: 81, Protocol: "udp"}}}},
	}
}

func TestListsHaveDockerComposesColumns(t *testing.T) {
	s, out, _ := screen(ModePlain, nil)
	for _, format := range []string{"", "json", "{{.Service}} {{.Status}}", `table {{.Name}}\t{{.State}}`} {
		out.WriteString("ps " + format + ":\n")
		if err := s.Processes(containers(), format, false); err != nil {
			t.Error(err)
		}
	}
	out.WriteString("empty:\n")
	for _, format := range []string{"", "json"} {
		if err := errors.Join(s.Processes(nil, format, false), s.Projects(nil, format)); err != nil {
			t.Error(err)
		}
	}
	projects := []Project{{"xx", ProjectStatus(map[spec.State]int{spec.StateRunning: 3, spec.StateExited: 1}), "/app/compose.yaml"}}
	images := []spec.Image{{Digest: "sha256:" + strings.Repeat("12", 32), Names: []string{"docker.io/library/redis:alpine", "localhost:5000/a/b:1"}, OS: "linux", Architecture: "amd64", Size: 41234567, CreatedAt: now.Add(-50 * time.Hour)}}
	volumes := []spec.Volume{{Name: "xx_data"}}
	for _, format := range []string{"", "json"} {
		if err := errors.Join(s.Projects(projects, format), s.Images(images, format, false), s.Volumes(volumes, format)); err != nil {
			t.Error(err)
		}
	}
	s.Pairs([][2]string{{"State folder", "/x"}, {"Kernel", ""}})
	golden(t, "lists", out.Bytes())
	if err := s.Processes(nil, "bogus", false); err == nil {
		t.Error("an unknown format was taken")
	}
}

func TestLogLinesAreLedByPaddedNames(t *testing.T) {
	for _, c := range []struct {
		name string
		o    LogOptions
		ansi string
	}{
		{"plain", LogOptions{}, ""},
		{"bare", LogOptions{NoPrefix: true, Timestamps: true, Buffered: true}, ""},
		{"coloured", LogOptions{Timestamps: true}, "always"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, out, _ := screen(ModePlain, func(o *Options) { o.ANSI = c.ansi })
			l := s.Logs(c.o)
			l.Name(0, "longername-1")
			l.Name(1, "web-1")
			err := errors.Join(l.Line(1, now, []byte("two"), false), l.Line(0, now, []byte("hi"), true),
				l.Line(0, now, []byte(" there"), false), l.Line(1, now, nil, false), l.Lost(1, 4), l.Exited(1, 3), l.Flush())
			if err != nil {
				t.Error(err)
			}
			golden(t, "logs-"+c.name, out.Bytes())
		})
	}
}

func TestDurationsAndSizesUseDockersWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "Less than a second", time.Second: "1 second", 59 * time.Second: "59 seconds", 90 * time.Second: "About a minute",
		3 * time.Minute: "3 minutes", 70 * time.Minute: "About an hour", 5 * time.Hour: "5 hours", 72 * time.Hour: "3 days",
		24 * 20 * time.Hour: "2 weeks", 24 * 90 * time.Hour: "3 months", 24 * 800 * time.Hour: "2 years",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1500: "1.5kB", 4712345: "4.71MB", 2e12: "2TB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestLinesOfOneTimeAreEachLed(t *testing.T) {
	s, out, _ := screen(ModePlain, nil)
	l := s.Logs(LogOptions{Buffered: true})
	l.Name(0, "a-1")
	long := bytes.Repeat([]byte("x"), 1<<20)
	err := errors.Join(l.Line(0, now, []byte("one\n\nthree"), false), l.Line(0, now, long, true),
		l.Line(0, now, long, true), l.Line(0, now, []byte("end\nlast"), false), l.Flush())
	if err != nil {
		t.Error(err)
	}
	want := "a-1  | one\na-1  | \na-1  | three\na-1  | " + string(long) + string(long) + "end\na-1  | last\n"
	if got := out.String(); got != want {
		t.Errorf("got %d bytes, want %d: %.60q", len(got), len(want), got)
	}
}

func TestAServiceKeepsItsColour(t *testing.T) {
	s, _, _ := screen(ModePlain, func(o *Options) { o.ANSI = "always" })
	l := s.Logs(LogOptions{})
	for i, name := range []string{"frontend-1", "web-1", "web-2", "api-x"} {
		l.Name(uint16(i), name)
	}
	if l.sources[1].code != l.sources[2].code || l.sources[0].code == l.sources[1].code {
		t.Errorf("frontend %s, web %s and %s", l.sources[0].code, l.sources[1].code, l.sources[2].code)
	}
	again := s.Logs(LogOptions{})
	again.Name(7, "frontend-3")
	if again.sources[7].code != l.sources[0].code {
		t.Error("the colour of frontend changed")
	}
	for n := range 30 { // more services than colours
		again.Name(uint16(n), fmt.Sprintf("service%d-1", n))
	}
}
