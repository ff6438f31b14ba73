package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// execFlags are the flags of `exec`.
type execFlags struct {
	detach, interactive, noTTY, tty, privileged bool
	environment                                 []string
	index                                       int
	user, workdir                               string
}

func execCommand(s *session) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use: "exec [OPTIONS] SERVICE COMMAND [ARGS...]", Short: "Run a command in a running container",
		Example: `  mycompose exec web sh
  mycompose exec -T db pg_dump shop > shop.sql
  mycompose exec -u root -w /tmp --index 2 web ls`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: completeServices(s),
		RunE:              func(cmd *cobra.Command, args []string) error { return runExec(cmd, s, &f, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVarP(&f.detach, "detach", "d", false, "Do not wait for it")
	flags.StringArrayVarP(&f.environment, "env", "e", nil, "Variable: NAME=VALUE, or NAME to pass ours on")
	flags.IntVar(&f.index, "index", 0, "Number of the replica; the first by default")
	flags.BoolVarP(&f.interactive, "interactive", "i", true, "Pass standard input on")
	flags.BoolVarP(&f.noTTY, "no-tty", "T", false, "No terminal; none is made either if we have none")
	flags.BoolVarP(&f.tty, "tty", "t", true, "A terminal")
	flags.BoolVar(&f.privileged, "privileged", false, "With all rights")
	flags.StringVarP(&f.user, "user", "u", "", "User: name or id, with :GROUP")
	flags.StringVarP(&f.workdir, "workdir", "w", "", "Folder to start in")
	for _, name := range []string{"interactive", "tty"} {
		flags.Lookup(name).Hidden = true
	}
	return cmd
}

func runExec(cmd *cobra.Command, s *session, f *execFlags, args []string) error {
	ctx := cmd.Context()
	p, err := s.known(ctx)
	if err != nil {
		return err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	containers, err := c.ServiceContainers(ctx, p.name, args[0])
	if err != nil {
		return err
	}
	target, err := p.pick(containers, args[0], f.index)
	if err != nil {
		return err
	}
	x := spec.Exec{
		ID: client.NewID(), Container: target.Blueprint.ID, Args: args[1:], User: f.user, WorkingDir: f.workdir,
		Environment: s.inherit(f.environment), Privileged: f.privileged,
	}
	if f.detach {
		return executed(c.StartExec(ctx, x))
	}
	x.Stdin = f.interactive
	if x.Terminal = f.tty && s.wantsTTY(f.noTTY); x.Terminal {
		size := s.size()
		x.Rows, x.Columns = size.Rows, size.Columns
	}
	return s.exec(ctx, c, x)
}

// exec runs a process in a container to its end.
func (s *session) exec(ctx context.Context, c *client.Client, x spec.Exec) error {
	stream, err := c.Exec(ctx, x)
	if err != nil {
		return executed(err)
	}
	detached, err := s.join(ctx, stream, remote{
		terminal: x.Terminal, stdin: x.Stdin, detachKeys: detachKeys(),
		resize: func(ctx context.Context, size client.Resize) error {
			return c.ResizeExec(ctx, x.Container, x.ID, size)
		},
		signal: func(ctx context.Context, name string) error { return c.SignalExec(ctx, x.Container, x.ID, name) },
		cutOff: c.CutOff,
		hangup: func() { _ = c.SignalExec(ctx, x.Container, x.ID, "SIGHUP") }, // or it has ended
		attach: func(ctx context.Context, from int64) (*client.Stream, error) {
			return c.AttachExec(ctx, x.Container, x.ID, from)
		},
	})
	if err != nil || detached {
		return err
	}
	result, err := c.WaitExec(ctx, x.Container, x.ID)
	if err != nil {
		return err
	}
	return exitCode(result.ExitCode)
}

// inherit completes values of -e that name a variable only.
func (s *session) inherit(values []string) []string {
	var out []string
	for name, value := range s.parseEnvironment(values) {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}

// pick is pick, and tells a service that nobody knows from one that does not run.
func (p *project) pick(containers []spec.Container, service string, index int) (spec.Container, error) {
	if len(containers) == 0 {
		if err := p.check([]string{service}); err != nil {
			return spec.Container{}, err
		}
	}
	return pick(containers, service, index)
}

// pick finds the container of a service that a command means: the one with
// that number, or the first that runs.
func pick(containers []spec.Container, service string, index int) (spec.Container, error) {
	number := func(c spec.Container) int {
		n, err := strconv.Atoi(c.Blueprint.Labels[labelNumber])
		if err != nil {
			return 0
		}
		return n
	}
	running := slices.DeleteFunc(slices.Clone(containers), func(c spec.Container) bool {
		up := c.Status.State == spec.StateRunning || c.Status.State == spec.StatePaused
		return isOneOff(c) || !up || c.Blueprint.Labels[labelService] != service || index > 0 && number(c) != index
	})
	if len(running) == 0 {
		text := fmt.Sprintf("service %q is not running", service)
		if index > 0 {
			text += fmt.Sprintf(" container #%d", index)
		}
		return spec.Container{}, spec.Errorf(spec.ErrNotRunning, "%s", text)
	}
	return slices.MinFunc(running, func(a, b spec.Container) int { return cmp.Compare(number(a), number(b)) }), nil
}
