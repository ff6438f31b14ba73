package cli

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// attached is an `up` that shows what its containers say.
//
//	starting ──result──▶ following ──all have ended──▶ 0
//	   │ Ctrl-C             │ Ctrl-C
//	   ▼                    ▼
//	canceled ─────────▶ stopping ──stopped──▶ 130
//	following ──an end that aborts──▶ stopping ──stopped──▶ that one's code
//	                        │ Ctrl-C: SIGKILL to all, and again: leave
type attached struct {
	*session
	project  *project
	request  client.UpRequest
	attach   attachFlags
	services []string // whose logs are shown; empty is all
	logs     ui.LogOptions
	progress *ui.Progress
	begun    time.Time
	before   map[string]time.Time // what had ended, and when, before we began
	caught   <-chan os.Signal
	menu     *menu // nil without keys
	// quietBuild shows no output of rebuilds.
	quietBuild bool

	reading sync.WaitGroup // the goroutine of the log stream
	once    sync.Once      // begins it
	ended   chan end       // of containers
	failed  chan error     // of the log stream
}

func (s *session) upAttached(ctx context.Context, p *project, r client.UpRequest, f attachFlags, withMenu bool, o ui.ProgressOptions, logs ui.LogOptions) error {
	if err := f.check(p); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	caught, release := s.process.Catch()
	defer release()
	a := &attached{
		session: s, project: p, request: r, attach: f, services: f.shown(p, r.Services), logs: logs, begun: time.Now(), caught: caught,
		ended: make(chan end, 64), failed: make(chan error, 1), quietBuild: o.QuietBuild,
	}
	defer a.reading.Wait()
	defer cancel()
	op, err := s.operation(client.Up, p, r)
	if err != nil {
		return err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	if a.before, err = a.past(ctx, c); err != nil {
		return err
	}
	began := time.Now()
	if err := s.handOver(ctx, c, op); err != nil {
		return err
	}
	a.progress = s.screen.Progress(o)
	result, interrupted, err := a.start(ctx, c, op)
	if err == nil && !interrupted && s.withHelpers(ctx, &op, result) {
		if err = s.handOver(ctx, c, op); err == nil {
			result, interrupted, err = a.start(ctx, c, op)
		}
	}
	a.progress.Close()
	if !interrupted {
		s.timings(o, began, a.progress)
	}
	switch {
	case err != nil:
		return err
	case interrupted:
		return a.interrupt(ctx, c)
	}
	if err := outcome(result); err != nil {
		return s.explain(ctx, result)
	}
	if withMenu {
		a.menu = s.openMenu()
		defer a.menu.close()
	}
	a.follow(ctx, c)
	a.summarize(ctx, p.name, r.Services)
	a.expose(ctx, p.name, r.Services)
	if a.menu != nil {
		s.screen.Notice(keyHelp)
	}
	return a.watch(ctx, c)
}

// start shows the operation to its end; logs begin with the first container
// that runs. Ctrl-C cancels it.
func (a *attached) start(ctx context.Context, c *client.Client, op client.Operation) (r event.Result, interrupted bool, err error) {
	type outcome struct {
		result event.Result
		err    error
	}
	done := make(chan outcome, 1)
	a.reading.Add(1)
	go func() {
		defer a.reading.Done()
		result, err := c.Follow(ctx, op.ID, func(e event.Event) {
			a.progress.Show(e)
			if e.Text == "Started" && strings.HasPrefix(e.ID, "Container ") {
				a.once.Do(func() { a.begin(ctx, c) })
			}
		})
		done <- outcome{result, err}
	}()
	for {
		select {
		case e := <-done:
			return e.result, interrupted && e.err == nil, e.err
		case <-a.caught:
			if interrupted {
				return event.Result{}, true, nil // on with stopping
			}
			interrupted = true
			if err := c.Cancel(ctx, op.ID, interruptedBy); err != nil {
				a.screen.Error(err)
			}
		}
	}
}

// follow begins the logs if no start did.
func (a *attached) follow(ctx context.Context, c *client.Client) {
	a.once.Do(func() { a.begin(ctx, c) })
}

// begin opens the log stream in a goroutine that upAttached waits for.
func (a *attached) begin(ctx context.Context, c *client.Client) {
	a.progress.Close() // plain lines from here: two moving things disturb each other
	containers, err := a.chosen(ctx, c)
	if err == nil && len(containers) > 0 {
		var names []string
		for _, container := range containers {
			names = append(names, shownName(container))
		}
		slices.Sort(names)
		a.screen.Println("Attaching to " + strings.Join(names, ", "))
	}
	a.followWatch(ctx, c)
	show := a.screen.Logs(a.logs)
	a.reading.Add(1)
	go a.guarded(func() {
		defer a.reading.Done()
		err := a.session.showLogs(ctx, c, client.LogRequest{
			Project: a.project.name, Services: a.services, Follow: true, Stay: true, Tail: -1, Since: a.begun, Told: a.before,
		}, show, func(e end) {
			select {
			case a.ended <- e:
			case <-ctx.Done():
			}
		})
		if err != nil && ctx.Err() == nil {
			a.failed <- err
		}
	})
}

// chosen are the containers whose logs are shown.
func (a *attached) chosen(ctx context.Context, c *client.Client) ([]spec.Container, error) {
	return a.containers(ctx, c, a.services)
}

// containers are those of some services, or of all.
func (a *attached) containers(ctx context.Context, c *client.Client, services []string) ([]spec.Container, error) {
	all, err := c.Containers(ctx, a.project.name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c spec.Container) bool {
		service := c.Blueprint.Labels[labelService]
		return isOneOff(c) || len(services) > 0 && !slices.Contains(services, service)
	}), nil
}

// past is when the containers that do not run ended.
func (a *attached) past(ctx context.Context, c *client.Client) (map[string]time.Time, error) {
	containers, err := a.containers(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]time.Time{}
	for _, container := range containers {
		if container.Status.State == spec.StateExited {
			out[container.Blueprint.ID] = container.Status.ExitedAt
		}
	}
	return out, nil
}

// lookAgain is how often watch asks whether anything still runs, in case an
// end was told by nobody.
const lookAgain = time.Second

// watch waits until all containers have ended and their lines are shown.
func (a *attached) watch(ctx context.Context, c *client.Client) error {
	seen := maps.Clone(a.before)
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		culprit, err := a.culprit(ctx, c)
		if err == nil && culprit != nil {
			return a.abort(ctx, c, *culprit)
		}
		over := false
		if err == nil {
			over, err = a.over(ctx, c, seen)
		}
		if err != nil && !client.Lost(err) {
			return err
		}
		if over {
			return nil
		}
		select {
		case e := <-a.ended:
			seen[e.id] = e.at
		case err := <-a.failed:
			return err
		case <-look.C:
		case key := <-a.menu.pressed():
			if a.press(ctx, c, key) {
				return nil
			}
		case done := <-a.menu.done():
			a.answered(ctx, c, done)
		case <-a.caught:
			return a.interrupt(ctx, c)
		}
	}
}

// over reports whether nothing runs, nothing is about to run again, and all
// ends since we began have been shown. A restart from elsewhere is at work from
// before its stop until after its start: who sees the end of the one sees it at
// work, or what it started.
func (a *attached) over(ctx context.Context, c *client.Client, seen map[string]time.Time) (bool, error) {
	still, err := a.still(ctx, c, seen)
	if err != nil || !still {
		return false, err
	}
	peer, err := c.Hello(ctx)
	if err != nil {
		return false, err
	}
	for work := range strings.SplitSeq(peer.Busy, ", ") {
		if strings.HasSuffix(work, " of "+a.project.name) {
			return false, nil
		}
	}
	return a.still(ctx, c, seen)
}

// still reports whether nothing runs and all ends have been shown.
func (a *attached) still(ctx context.Context, c *client.Client, seen map[string]time.Time) (bool, error) {
	containers, err := a.chosen(ctx, c)
	if err != nil {
		return false, err
	}
	for _, container := range containers {
		status := container.Status
		told := !seen[container.Blueprint.ID].Before(status.ExitedAt)
		if status.Up() || status.State == spec.StateExited && !told {
			return false, nil
		}
	}
	return true, nil
}

// interrupt ends all containers, as somebody has pressed Ctrl-C.
func (a *attached) interrupt(ctx context.Context, c *client.Client) error {
	a.screen.Notice(" Compose Stopping Gracefully Stopping... press Ctrl+C again to force")
	if err := a.stop(ctx, c); err != nil {
		return err
	}
	return &exit{code: codeInterrupted}
}

// stop ends all containers: gracefully, and by SIGKILL on another Ctrl-C.
func (a *attached) stop(ctx context.Context, c *client.Client) error {
	if a.request.Watch { // it was begun for this terminal
		if err := c.ChangeWatch(ctx, a.project.name, "stop"); err != nil && !errors.Is(err, spec.ErrNotFound) {
			a.screen.Error(err)
		}
	}
	op, err := a.operation(client.Stop, &project{name: a.project.name}, client.StopRequest{
		Services: a.request.Services, Timeout: a.request.Timeout,
	})
	if err != nil {
		return err
	}
	if err := c.StartOperation(ctx, op); err != nil {
		return err
	}
	done := make(chan error, 1)
	go a.guarded(func() { // received below
		_, err := c.Follow(ctx, op.ID, a.progress.Show)
		done <- err
	})
	seen := maps.Clone(a.before)
	for forced := false; ; {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			a.drain(ctx, c, seen)
			return nil
		case e := <-a.ended:
			seen[e.id] = e.at
		case <-a.caught:
			if forced {
				return &exit{code: codeInterrupted}
			}
			forced = true
			if err := a.killAll(ctx, c); err != nil {
				a.screen.Error(err)
			}
		}
	}
}

// drainTime bounds how long last lines are waited for.
const drainTime = time.Second

// drain waits until the last lines of all that has ended are shown.
func (a *attached) drain(ctx context.Context, c *client.Client, seen map[string]time.Time) {
	late := time.NewTimer(drainTime)
	defer late.Stop()
	for {
		if over, err := a.over(ctx, c, seen); err != nil || over {
			return
		}
		select {
		case e := <-a.ended:
			seen[e.id] = e.at
		case <-late.C:
			return
		case <-a.caught:
			return
		}
	}
}

func (a *attached) killAll(ctx context.Context, c *client.Client) error {
	containers, err := a.containers(ctx, c, a.request.Services)
	for _, container := range containers {
		if container.Status.Up() {
			killErr := c.SignalContainer(ctx, container.Blueprint.ID, "SIGKILL")
			if !errors.Is(killErr, spec.ErrNotRunning) {
				err = errors.Join(err, killErr)
			}
		}
	}
	return err
}

func isOneOff(c spec.Container) bool {
	return strings.EqualFold(c.Blueprint.Labels[labelOneOff], "true")
}

// shownName is the name without the project, or a container_name as it is.
func shownName(c spec.Container) string {
	return strings.TrimPrefix(c.Blueprint.Name, c.Blueprint.Project+"-")
}
