package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// watchFlags are the flags of `watch`.
type watchFlags struct {
	noUp, quiet, prune, noModel, status, pause, resume, stop bool
	explain                                                  string
}

func watchCommand(s *session) *cobra.Command {
	var f watchFlags
	cmd := &cobra.Command{
		Use: "watch [OPTIONS] [SERVICE...]", Short: "Put saved files into containers, restart and rebuild as develop.watch says",
		Long: `Bring the project up and act on changes of its files, as the rules of develop.watch
in the compose file say: sync, sync+restart, sync+exec, exec, restart, rebuild.
Changes of the compose files, their includes and env files are applied too; a
mistake in them changes nothing.
Ctrl-C ends it. What 'up -d --watch' watches goes on without a terminal, and after
a restart of the daemon; 'watch' then shows it, and Ctrl-C leaves it alone.`,
		Example: `  mycompose watch                       bring up and watch until Ctrl-C
  mycompose up -d --watch               watch in the background
  mycompose watch --status              what is watched, and what happened last
  mycompose watch --pause               changes wait for --resume
  mycompose watch --stop                end it
  mycompose watch --explain src/a.py    which rule wants this path, and why`,
		ValidArgsFunction: completeServices(s),
		RunE:              func(cmd *cobra.Command, args []string) error { return runWatch(cmd, s, &f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noUp, "no-up", false, "Do not bring the project up first")
	flags.BoolVar(&f.quiet, "quiet", false, "No output of builds")
	flags.BoolVar(&f.prune, "prune", true, "Remove the images that rebuilds leave without a name")
	flags.BoolVar(&f.noModel, "no-watch-model", false, "Do not follow changes of the compose files themselves")
	flags.BoolVar(&f.status, "status", false, "Show what is watched, and what happened last")
	flags.BoolVar(&f.pause, "pause", false, "Hold changes until --resume")
	flags.BoolVar(&f.resume, "resume", false, "Apply what was held, and allow restarts that are on hold")
	flags.BoolVar(&f.stop, "stop", false, "Stop watching")
	flags.StringVar(&f.explain, "explain", "", "Show which rules apply to a path, and why")
	return cmd
}

// single are the flags of which one at most makes sense.
var single = [...]string{"status", "pause", "resume", "stop", "explain", "no-up"}

// oneOf refuses several of the flags.
func oneOf(cmd *cobra.Command, names ...string) error {
	var given []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return fmt.Errorf("%s are incompatible; give one of them", strings.Join(given, " and "))
	}
	return nil
}

func runWatch(cmd *cobra.Command, s *session, f *watchFlags, services []string) error {
	if err := oneOf(cmd, single[:]...); err != nil {
		return err
	}
	ctx := cmd.Context()
	for action, asked := range map[string]bool{"pause": f.pause, "resume": f.resume, "stop": f.stop} {
		if asked {
			return s.changeWatch(ctx, action)
		}
	}
	switch {
	case f.status:
		return s.watchStatus(ctx)
	case f.explain != "":
		return s.explainWatch(ctx, f.explain)
	}
	p, next, err := s.inputToWatch(ctx, services, nil)
	if err != nil {
		return err
	}
	if f.noModel {
		next = nil
	}
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	_, err = c.WatchStatus(ctx, p.name)
	ours := errors.Is(err, spec.ErrNotFound)
	if err != nil && !ours {
		return err
	}
	if f.noUp {
		err = s.perform(ctx, client.Watch, p, client.WatchRequest{Services: services, Follow: next, KeepImages: !f.prune}, ui.ProgressOptions{Title: "watch"})
	} else {
		up := client.UpRequest{Services: services, Watch: true, Follow: next, KeepImages: !f.prune, IgnoreOrphans: s.truth("COMPOSE_IGNORE_ORPHANS")}
		err = s.perform(ctx, client.Up, p, up, ui.ProgressOptions{Title: "up", QuietBuild: f.quiet})
	}
	if err != nil {
		return err
	}
	return s.followWatch(ctx, c, p.name, ours, f.quiet)
}

// followWatch shows what happens until Ctrl-C, which ends the watching if it is
// ours.
func (s *session) followWatch(ctx context.Context, c *client.Client, project string, ours, quiet bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	caught, release := s.process.Catch()
	defer release()
	done := make(chan error, 1)
	begun := time.Now()
	words := watchWords{quiet: quiet, show: s.screen.Println}
	defer words.end()
	go func() { // received below
		done <- c.FollowWatch(ctx, project, func(e event.Watch) {
			if e.Time.Before(begun.Add(-time.Minute)) && e.Kind != event.WatchEnabled {
				return
			}
			words.tell(e)
		})
	}()
	select {
	case err := <-done:
		return err
	case <-caught:
	}
	cancel()
	<-done
	if !ours {
		s.screen.Notice("Still watching in the background; `mycompose watch --stop` ends it.")
		return &exit{code: codeInterrupted}
	}
	if err := c.ChangeWatch(context.WithoutCancel(ctx), project, "stop"); err != nil {
		return err
	}
	return &exit{code: codeInterrupted}
}

func (s *session) changeWatch(ctx context.Context, action string) error {
	c, p, err := s.watched(ctx)
	if err != nil {
		return err
	}
	return c.ChangeWatch(ctx, p.name, action)
}

// watched is the project that a question about watching means.
func (s *session) watched(ctx context.Context) (*client.Client, *project, error) {
	p, err := s.known(ctx)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.dial(ctx)
	return c, p, err
}

func (s *session) watchStatus(ctx context.Context) error {
	c, p, err := s.watched(ctx)
	if err != nil {
		return err
	}
	status, err := c.WatchStatus(ctx, p.name)
	if err != nil {
		return err
	}
	for _, line := range statusLines(status) {
		s.screen.Println(line)
	}
	return nil
}

func statusLines(w client.WatchStatus) []string {
	state := "watched"
	if w.Paused {
		state = "paused: changes wait for `mycompose watch --resume`"
	}
	lines := []string{fmt.Sprintf("Project %s is %s", w.Project, state)}
	for _, rule := range w.Rules {
		lines = append(lines, "  "+rule)
	}
	count := fmt.Sprintf("Files: %d in %d watched folders", w.Files, w.Folders)
	if w.Polled > 0 {
		count += fmt.Sprintf(", %d more folders checked every second", w.Polled)
	}
	lines = append(lines, count)
	if len(w.Waiting) > 0 {
		lines = append(lines, "Not in all containers yet: "+strings.Join(w.Waiting, ", "))
	}
	for _, name := range w.Flapping {
		lines = append(lines, fmt.Sprintf("Restarts of %s are on hold until `mycompose watch --resume`", name))
	}
	for _, e := range w.Last {
		lines = append(lines, e.Time.Local().Format("15:04:05")+" "+watchLine(e))
	}
	return lines
}

func (s *session) explainWatch(ctx context.Context, path string) error {
	c, p, err := s.watched(ctx)
	if err != nil {
		return err
	}
	path = filepath.Clean(absolute(s.process.Dir, path))
	verdicts, err := c.ExplainWatch(ctx, p.name, path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err != nil {
		s.screen.Warn(fmt.Sprintf("%s is not there now", path))
	}
	for _, v := range verdicts {
		s.screen.Println(verdictLine(v))
	}
	return nil
}

func verdictLine(v client.WatchVerdict) string {
	line := fmt.Sprintf("%s (%s): ", v.Rule, v.Action)
	if v.Wants {
		line += "yes, " + v.Text
	} else {
		line += "no, " + v.Text
	}
	if v.Pattern != "" {
		line += fmt.Sprintf(" by %q of %s", v.Pattern, v.Origin)
	}
	if v.Target != "" {
		line += " → " + v.Target
	}
	return line
}
