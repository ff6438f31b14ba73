package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// interruptedBy is who cancels an operation on Ctrl-C.
const interruptedBy = "Ctrl-C"

// operation builds an operation with the user's settings.
func (s *session) operation(kind client.Kind, p *project, request any) (client.Operation, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return client.Operation{}, fmt.Errorf("cannot write request: %w", err)
	}
	op := client.Operation{
		ID: client.NewID(), Kind: kind, Request: data, Settings: s.settings, DryRun: s.globals.dryRun,
	}
	if op.Parallel, err = s.parallel(); err != nil {
		return client.Operation{}, err
	}
	if needsLogins(kind) {
		found, err := s.logins()
		if err != nil {
			return client.Operation{}, err
		}
		if asksHelpersFirst(kind) {
			if err := found.askHelpers(context.Background(), s.process.Environment); err != nil {
				s.screen.Warn(err.Error())
			}
		}
		op.Logins, op.LoginFile = found.auth, found.file
	}
	if p != nil {
		op.Project, op.Input = p.name, p.input
	}
	return op, nil
}

// parallel is --parallel or COMPOSE_PARALLEL_LIMIT; 0 is no bound of the user's.
func (s *session) parallel() (int, error) {
	n, text := s.globals.parallel, s.env["COMPOSE_PARALLEL_LIMIT"]
	if n == -1 && text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			return 0, fmt.Errorf("COMPOSE_PARALLEL_LIMIT must be an integer (found: %q)", text)
		}
	}
	if n < -1 {
		return 0, &unknownValue{fmt.Sprintf("invalid value for --parallel: %d", n), "write a number from 1 on, or -1"}
	}
	return max(n, 0), nil
}

// run hands an operation over, shows its events and returns its result. The
// first Ctrl-C cancels it, the second leaves it to itself.
func (s *session) run(ctx context.Context, op client.Operation, o ui.ProgressOptions) (event.Result, error) {
	result, err := s.runOnce(ctx, op, o)
	if err == nil && s.withHelpers(ctx, &op, result) {
		return s.runOnce(ctx, op, o)
	}
	return result, err
}

// handOver starts an operation. The daemon may have let go of the inputs that
// were found unchanged, or keep those of another command that has read the same
// files meanwhile: then they are loaded and sent.
func (s *session) handOver(ctx context.Context, c *client.Client, op client.Operation) error {
	err := c.StartOperation(ctx, op)
	if !errors.Is(err, spec.ErrNotFound) || op.Input == nil || op.Input.Model != nil || s.reload == nil {
		return err
	}
	if op.Input, err = s.reload(ctx); err != nil {
		return err
	}
	return c.StartOperation(ctx, op)
}

func (s *session) runOnce(ctx context.Context, op client.Operation, o ui.ProgressOptions) (event.Result, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return event.Result{}, err
	}
	began := time.Now()
	if err := s.handOver(ctx, c, op); err != nil {
		return event.Result{}, err
	}
	o.Title, o.DryRun = orElse(o.Title, string(op.Kind)), s.globals.dryRun
	progress := s.screen.Progress(o)
	defer progress.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type ended struct {
		result event.Result
		err    error
	}
	done := make(chan ended, 1)
	go func() { // its end is always received below
		result, err := c.Follow(ctx, op.ID, progress.Show)
		done <- ended{result, err}
	}()
	caught, release := s.process.Catch()
	defer release()
	interrupted := false
	for {
		select {
		case e := <-done:
			progress.Close()
			s.timings(o, began, progress)
			if interrupted && e.err == nil && e.result.ExitCode == 0 {
				return e.result, nil // it had ended before the cancel came
			}
			return e.result, e.err
		case <-caught:
			if interrupted {
				cancel()
				<-done
				return event.Result{}, &exit{code: codeInterrupted}
			}
			interrupted = true
			if err := c.Cancel(ctx, op.ID, interruptedBy); err != nil {
				s.screen.Error(err)
			}
		}
	}
}

// timings shows what an operation that has ended took, if that is wanted.
func (s *session) timings(o ui.ProgressOptions, began time.Time, p *ui.Progress) {
	if o.Timings != "" {
		s.screen.Timings(ui.Timings{
			Command: o.Title, Before: o.Timings, Reading: began.Sub(s.begun), Total: time.Since(began), Steps: p.Steps(),
		})
	}
}

// perform runs an operation to its end, for commands that do nothing else.
func (s *session) perform(ctx context.Context, kind client.Kind, p *project, request any, o ui.ProgressOptions) error {
	op, err := s.operation(kind, p, request)
	if err != nil {
		return err
	}
	result, err := s.run(ctx, op, o)
	if err != nil {
		return err
	}
	if result.Output != "" {
		s.screen.Println(result.Output)
	}
	return s.explain(ctx, result)
}

// lastLines is how much of a culprit's log is shown.
const lastLines = 20

// explain says how the containers that made an operation fail have ended, who
// waits for them, and shows the end of their logs. What cannot be shown is left
// out. It returns the outcome.
func (s *session) explain(ctx context.Context, r event.Result) error {
	failed := outcome(r)
	if len(r.Culprits) == 0 || s.screen.Mode() == ui.ModeQuiet || s.screen.Mode() == ui.ModeJSON {
		return failed
	}
	c, err := s.dial(ctx)
	if err != nil {
		return failed
	}
	containers, err := c.Containers(ctx, "")
	var services []string
	for _, id := range r.Culprits {
		for _, container := range containers {
			if err == nil && container.Blueprint.ID == id {
				s.screen.Failure(ui.Failure{Container: container, Waiters: waiters(containers, container)})
				if !container.Status.StartedAt.IsZero() {
					services = append(services, container.Blueprint.Labels[labelService])
				}
			}
		}
	}
	show := s.screen.Logs(ui.LogOptions{Buffered: true, Stderr: true})
	request := client.LogRequest{Containers: r.Culprits, Tail: lastLines}
	_ = s.showLogs(ctx, c, request, show, func(end) {})
	if failed == nil || len(services) == 0 {
		return failed
	}
	names := strings.Join(slices.Compact(slices.Sorted(slices.Values(services))), " ")
	return &furtherError{failed, fmt.Sprintf("`mycompose logs %[1]s` and `mycompose explain %[1]s` tell more", names)}
}

// waiters are the services whose containers depend on a container's service.
func waiters(all []spec.Container, on spec.Container) []string {
	var out []string
	service := on.Blueprint.Labels[labelService]
	for _, c := range all {
		name := c.Blueprint.Labels[labelService]
		if c.Blueprint.Project != on.Blueprint.Project || slices.Contains(out, name) {
			continue
		}
		for dependency := range strings.SplitSeq(c.Blueprint.Labels[labelDependsOn], ",") {
			if first, _, _ := strings.Cut(dependency, ":"); first == service {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// summarize says what runs now, which of it other machines reach, and what to
// type next.
func (s *session) summarize(ctx context.Context, project string, services []string, next ...string) {
	if s.screen.Mode() != ui.ModeTTY || s.globals.dryRun {
		return
	}
	m := ui.Summary{Project: project}
	for _, command := range next {
		m.Next = append(m.Next, s.again()+" "+command)
	}
	if project != "" {
		var err error
		if m.Containers, err = s.replicas(ctx, project, services); err != nil {
			return // what was asked for has been done
		}
	}
	s.screen.Summary(m)
	s.screen.Exposure(m.Containers)
}

// expose says after an up without a terminal, which has no summary, which ports
// other machines reach.
func (s *session) expose(ctx context.Context, project string, services []string) {
	if s.screen.Mode() != ui.ModePlain || s.globals.dryRun {
		return
	}
	if containers, err := s.replicas(ctx, project, services); err == nil {
		s.screen.Exposure(containers)
	}
}

// replicas are the project's containers but for one-off ones, of the services
// if any are given.
func (s *session) replicas(ctx context.Context, project string, services []string) ([]spec.Container, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.Containers(ctx, project)
	return slices.DeleteFunc(all, func(c spec.Container) bool {
		return isOneOff(c) || len(services) > 0 && !slices.Contains(services, c.Blueprint.Labels[labelService])
	}), err
}

// again is how the program was called, with the flags that find the project.
func (s *session) again() string {
	words := []string{"mycompose"}
	for _, f := range s.globals.files {
		words = append(words, "-f", f)
	}
	if s.globals.projectName != "" {
		words = append(words, "-p", s.globals.projectName)
	}
	for _, p := range s.globals.profiles {
		words = append(words, "--profile", p)
	}
	return strings.Join(words, " ")
}
