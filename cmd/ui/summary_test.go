package ui

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestTheLastLinesSayWhatRunsWhereAndWhatToTypeNext(t *testing.T) {
	web := containers()[1]
	web.Status.Ports = append(web.Status.Ports,
		spec.Port{HostIP: "::", HostPort: 18320, ContainerPort: 80, Protocol: "tcp"},
		spec.Port{HostIP: "0.0.0.0", HostPort: 443, ContainerPort: 443, Protocol: "tcp"},
		spec.Port{HostIP: "127.0.0.1", HostPort: 15432, ContainerPort: 5432, Protocol: "tcp"},
		spec.Port{HostIP: "::1", HostPort: 80, ContainerPort: 8000, Protocol: "tcp"})
	second := web
	second.Status.Health = spec.HealthUnhealthy
	job := containers()[0]
	job.Status.ExitCode = 0
	for _, mode := range []Mode{ModeTTY, ModePlain, ModeJSON, ModeQuiet} {
		s, out, err := screen(mode, func(o *Options) { o.Size = func() (int, int) { return 100, 24 } })
		s.Summary(Summary{Project: "xx", Containers: []spec.Container{job, web, second, containers()[0]}, Next: []string{"mycompose logs -f", "mycompose down"}})
		if mode != ModeTTY {
			if err.Len()+out.Len() > 0 {
				t.Errorf("%s: %s%s", mode, out, err)
			}
			continue
		}
		golden(t, "summary", err.Bytes())
	}
}

func TestAFailureSaysHowTheContainerEndedAndWhoWaits(t *testing.T) {
	db := containers()[0]
	db.Status.Restarts = 2
	web := containers()[1]
	web.Status.Health = spec.HealthUnhealthy
	created := spec.Container{Blueprint: spec.Blueprint{Name: "xx-new-1"}, Status: spec.Status{State: spec.StateCreated}}
	s, _, err := screen(ModePlain, nil)
	s.Failure(Failure{Container: db, Waiters: []string{"web", "worker"}})
	s.Failure(Failure{Container: web})
	s.Failure(Failure{Container: created})
	want := `container xx-db-1 exited with code 137, out of memory, restarted 2 times, waited for by web, worker
container xx-web-1 is running unhealthy
container xx-new-1 was not started
`
	if err.String() != want {
		t.Errorf("got:\n%swant:\n%s", err, want)
	}
}

// What progress-json.md promises is what is written.
func TestTheSchemaOfProgressIsDocumented(t *testing.T) {
	page, err := os.ReadFile("progress-json.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			documented[name] = true
		}
	}
	shape := reflect.TypeFor[jsonEvent]()
	for i := range shape.NumField() {
		name, _, _ := strings.Cut(shape.Field(i).Tag.Get("json"), ",")
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("%s is documented and not written", name)
	}
}
