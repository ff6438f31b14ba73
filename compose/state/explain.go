package state

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// CauseMissing is why a plan makes a container that nobody has made yet.
const CauseMissing = "does not exist"

// Explanation says why a service is as it is.
type Explanation struct {
	Project string `json:"project"`
	Service string `json:"service"`
	// Absent says why there is no container; empty if there is one.
	Absent     string      `json:"absent,omitempty"`
	Containers []Explained `json:"containers,omitempty"`
}

// Explained is one container of an Explanation.
type Explained struct {
	Name   string           `json:"name"`
	State  spec.State       `json:"state"`
	Health spec.HealthState `json:"health,omitempty"`
	// Since is when it came into that state; zero if that is not known.
	Since time.Time `json:"since,omitzero"`
	// Why are sentences without a full stop.
	Why []string `json:"why,omitempty"`
	// MadeAt is when the container was made, MadeBecause the cause that the
	// plan of that operation gave; empty if an older mycompose made it.
	MadeAt      time.Time `json:"madeAt"`
	MadeBecause string    `json:"madeBecause,omitempty"`
	// Recreated: it took the place of another container.
	Recreated bool `json:"recreated,omitempty"`
	// Probe is what its last health probe said, if it is unhealthy.
	Probe string `json:"probe,omitempty"`
}

// NeverMade is why a service that is wanted has no container.
const NeverMade = "it was never created, or it was removed"

// Explain says why the containers of a service are as they are, from what is
// there and the stored project (nil: labels tell). One that neither knows is a
// *NoSuchServiceError.
func Explain(p *model.Project, a Actual, service string) (Explanation, error) {
	out := Explanation{Project: a.Project, Service: service}
	for _, c := range a.Replicas(service) {
		out.Containers = append(out.Containers, explained(p, a, &c))
	}
	if len(out.Containers) > 0 {
		return out, nil
	}
	if p == nil {
		return out, &NoSuchServiceError{Name: service}
	}
	s, ok := p.Service(service)
	_, disabled := p.Disabled[service]
	switch {
	case !ok:
		return out, &NoSuchServiceError{Name: service}
	case disabled:
		out.Absent = fmt.Sprintf("none of its profiles (%s) is enabled", strings.Join(s.Profiles, ", "))
	case s.Scale == 0:
		out.Absent = "its scale is 0"
	default:
		out.Absent = NeverMade
	}
	return out, nil
}

func explained(p *model.Project, a Actual, c *Container) Explained {
	st := c.Status
	e := Explained{
		Name: c.Name(), State: st.State, Health: st.Health, MadeAt: st.CreatedAt,
		MadeBecause: madeBecause(c.Blueprint.Labels[LabelCause]), Recreated: c.Blueprint.Labels[LabelReplace] != "",
	}
	policy := policyWord(c.Blueprint.Restart)
	switch st.State {
	case spec.StateRunning:
		e.Since, e.Why = st.StartedAt, whyRunning(st, policy)
		if st.Health == spec.HealthUnhealthy {
			e.Probe = strings.TrimSpace(st.ProbeOutput)
		}
	case spec.StatePaused:
		e.Why = []string{"it was paused by a command"}
	case spec.StateRestarting:
		e.Since = st.ExitedAt
		e.Why = []string{fmt.Sprintf("it %s; restart: %s will start it again after a short wait", ended(st), policy), times(st.Restarts)}
	case spec.StateExited:
		e.Since, e.Why = st.ExitedAt, whyExited(p, a, c, policy)
	case spec.StateCreated:
		e.Since, e.Why = st.CreatedAt, whyCreated(p, a, c)
	}
	e.Why = slices.DeleteFunc(e.Why, func(s string) bool { return s == "" })
	return e
}

// madeBecause is the cause of a plan, told afterwards.
func madeBecause(cause string) string {
	if cause == CauseMissing {
		return "there was none"
	}
	return cause
}

func whyRunning(st spec.Status, policy string) []string {
	var out []string
	if st.Restarts > 0 {
		if p := st.Previous; p != nil {
			last := spec.Status{ExitCode: p.ExitCode, Reason: p.Reason, OOMKilled: p.OOMKilled}
			out = append(out, fmt.Sprintf("its last run %s and restart: %s started it again", ended(last), policy))
		}
		out = append(out, times(st.Restarts))
	}
	switch st.Health {
	case spec.HealthHealthy:
		out = append(out, "its last health check succeeded")
	case spec.HealthStarting:
		out = append(out, "no health check has succeeded yet")
	case spec.HealthUnhealthy:
		out = append(out, "its health checks fail")
	}
	return out
}

func whyExited(p *model.Project, a Actual, c *Container, policy string) []string {
	st := c.Status
	if st.StoppedByUser {
		return []string{fmt.Sprintf("it was stopped by a command (exit code %d)", st.ExitCode)}
	}
	out := []string{"it " + ended(st)}
	switch restart := c.Blueprint.Restart; {
	case restart.Policy == "" || restart.Policy == spec.RestartNo:
		if by := awaitedBy(p, a, c.Service); st.ExitCode == 0 && len(by) > 0 {
			return append(out, "it is done: "+strings.Join(by, ", ")+" waited for its completion")
		}
		out = append(out, "restart: no, so it is not started again")
	case restart.Policy == spec.RestartOnFailure && st.ExitCode == 0:
		out = append(out, "restart: on-failure starts only what failed")
	case restart.Policy == spec.RestartOnFailure && restart.MaxAttempts > 0 && st.Restarts >= restart.MaxAttempts:
		out = append(out, fmt.Sprintf("restart: %s has no attempts left", policy))
	}
	return out
}

// awaitedBy are the services that wait for the completion of another.
func awaitedBy(p *model.Project, a Actual, service string) []string {
	var out []string
	all := Dependencies(p, a)
	if p != nil {
		for name, s := range p.Services {
			all[name] = s.DependsOn
		}
	}
	for name, depends := range all {
		for _, d := range depends {
			if d.Service == service && d.Condition == model.Completed {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

func whyCreated(p *model.Project, a Actual, c *Container) []string {
	var out []string
	for _, d := range Dependencies(p, a)[c.Service] {
		for _, r := range a.Replicas(d.Service) {
			if text := unmet(d.Condition, &r); text != "" {
				out = append(out, text)
			}
		}
	}
	if len(out) == 0 {
		out = []string{"it was created and not started yet (by up --no-start, or by an up that was interrupted)"}
	}
	return out
}

// unmet says how a dependency falls short of a condition, "" if it does not.
func unmet(condition model.Condition, c *Container) string {
	st := c.Status
	is := string(st.State)
	if st.State == spec.StateExited {
		is = fmt.Sprintf("ended with exit code %d", st.ExitCode)
	}
	switch condition {
	case model.Healthy:
		if st.State != spec.StateRunning || st.Health != spec.HealthHealthy {
			if st.State == spec.StateRunning {
				is = string(st.Health)
			}
			return fmt.Sprintf("it waits for %s (%s) to be healthy", c.Name(), orNone(is))
		}
	case model.Completed:
		if st.State != spec.StateExited || st.ExitCode != 0 {
			return fmt.Sprintf("it waits for %s (%s) to complete successfully", c.Name(), is)
		}
	default:
		if st.State == spec.StateCreated {
			return fmt.Sprintf("it waits for %s (%s) to be started", c.Name(), is)
		}
	}
	return ""
}

func orNone(health string) string {
	if health == "" {
		return "without a healthcheck"
	}
	return health
}

// ended says how the last run ended.
func ended(st spec.Status) string {
	text := fmt.Sprintf("ended with exit code %d", st.ExitCode)
	switch {
	case st.OOMKilled:
		text += " (out of memory)"
	case st.Reason != "":
		text += " (" + st.Reason + ")"
	}
	return text
}

func times(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "it was restarted once since the last command"
	}
	return fmt.Sprintf("it was restarted %d times since the last command", n)
}

func policyWord(r spec.Restart) string {
	switch {
	case r.Policy == "":
		return "no"
	case r.Policy == spec.RestartOnFailure && r.MaxAttempts > 0:
		return fmt.Sprintf("on-failure:%d", r.MaxAttempts)
	}
	return string(r.Policy)
}
