package state

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestExplainSaysWhyAContainerIsAsItIs(t *testing.T) {
	p := &model.Project{Name: "shop", Services: map[string]model.Service{
		"db": {Name: "db", Scale: 1}, "none": {Name: "none"}, "new": {Name: "new", Scale: 1},
		"web": {Name: "web", Scale: 1, DependsOn: []model.Dependency{
			{Service: "db", Condition: model.Healthy}, {Service: "job", Condition: model.Completed}}},
		"job": {Name: "job", Scale: 1},
	}, Disabled: map[string]model.Service{"debug": {Name: "debug", Profiles: []string{"dev", "ops"}}}}
	one := func(service string, restart spec.Restart, st spec.Status, cause string) Container {
		return Describe(spec.Container{Blueprint: spec.Blueprint{
			Name: "shop-" + service + "-1", Restart: restart, Labels: map[string]string{
				LabelService: service, LabelNumber: "1", LabelProject: "shop", LabelCause: cause,
			},
		}, Status: st})
	}
	db := func(st spec.Status) []Container { return []Container{one("db", spec.Restart{}, st, "")} }
	with := func(policy spec.RestartPolicy, attempts int, st spec.Status) []Container {
		return []Container{one("db", spec.Restart{Policy: policy, MaxAttempts: attempts}, st, "")}
	}
	for _, c := range []struct {
		name, service string
		there         []Container
		want          string
	}{
		{"running", "db", db(spec.Status{State: spec.StateRunning}), ""},
		{"healthy", "db", db(spec.Status{State: spec.StateRunning, Health: spec.HealthHealthy}), "its last health check succeeded"},
		{"unhealthy after restarts", "db", with(spec.RestartAlways, 0, spec.Status{State: spec.StateRunning, Health: spec.HealthUnhealthy, Restarts: 2, Previous: &spec.Ended{ExitCode: 137, OOMKilled: true}}),
			"its last run ended with exit code 137 (out of memory) and restart: always started it again; it was restarted 2 times since the last command; its health checks fail"},
		{"in back-off", "db", with(spec.RestartUnlessStopped, 0, spec.Status{State: spec.StateRestarting, ExitCode: 1, Restarts: 1}),
			"it ended with exit code 1; restart: unless-stopped will start it again after a short wait; it was restarted once since the last command"},
		{"stopped by a command", "db", db(spec.Status{State: spec.StateExited, ExitCode: 143, StoppedByUser: true}), "it was stopped by a command (exit code 143)"},
		{"ended by itself", "db", db(spec.Status{State: spec.StateExited, ExitCode: 127, Reason: "command not found"}), "it ended with exit code 127 (command not found); restart: no, so it is not started again"},
		{"on-failure and success", "db", with(spec.RestartOnFailure, 0, spec.Status{State: spec.StateExited}), "it ended with exit code 0; restart: on-failure starts only what failed"},
		{"attempts used up", "db", with(spec.RestartOnFailure, 3, spec.Status{State: spec.StateExited, ExitCode: 1, Restarts: 3}), "it ended with exit code 1; restart: on-failure:3 has no attempts left"},
		{"a one-shot that is done", "job", []Container{one("job", spec.Restart{}, spec.Status{State: spec.StateExited}, "")}, "it ended with exit code 0; it is done: web waited for its completion"},
		{"waiting for dependencies", "web", []Container{
			one("web", spec.Restart{}, spec.Status{State: spec.StateCreated}, ""),
			one("db", spec.Restart{}, spec.Status{State: spec.StateRunning, Health: spec.HealthStarting}, ""),
			one("job", spec.Restart{}, spec.Status{State: spec.StateExited, ExitCode: 3}, "")},
			"it waits for shop-db-1 (starting) to be healthy; it waits for shop-job-1 (ended with exit code 3) to complete successfully"},
		{"created and left", "db", db(spec.Status{State: spec.StateCreated}), "it was created and not started yet (by up --no-start, or by an up that was interrupted)"},
		{"paused", "db", db(spec.Status{State: spec.StatePaused}), "it was paused by a command"},
		{"scaled away", "none", nil, "absent: its scale is 0"},
		{"never made", "new", nil, "absent: it was never created, or it was removed"},
		{"of a profile", "debug", nil, "absent: none of its profiles (dev, ops) is enabled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Explain(p, Actual{Project: "shop", Containers: c.there}, c.service)
			if err != nil {
				t.Fatal(err)
			}
			got := "absent: " + e.Absent
			if len(e.Containers) > 0 {
				got = strings.Join(e.Containers[0].Why, "; ")
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	for _, project := range []*model.Project{p, nil} {
		if _, err := Explain(project, Actual{}, "nosuch"); !errors.As(err, new(*NoSuchServiceError)) {
			t.Errorf("unknown service: %v", err)
		}
	}
	made := time.Unix(7, 0)
	e, err := Explain(nil, Actual{Containers: []Container{one("db", spec.Restart{}, spec.Status{State: spec.StateRunning, CreatedAt: made}, "image digest changed")}}, "db")
	if err != nil || e.Containers[0].MadeBecause != "image digest changed" || !e.Containers[0].MadeAt.Equal(made) {
		t.Errorf("%+v, %v", e, err)
	}
}
