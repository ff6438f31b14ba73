package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-shellwords"
	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/engine/spec"
)

// runFlags are the flags of `run`.
type runFlags struct {
	client.RunRequest
	detach, interactive, noTTY, tty, quiet, quietBuild, quietPull bool
	environment, envFiles, labels, publish, volumes               []string
	entrypoint                                                    string
}

func runCommand(s *session) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run [OPTIONS] SERVICE [COMMAND] [ARGS...]", Short: "Run a one-off container of a service",
		Long: `Run a one-off container of a service. What the service depends on is brought up
first. Its ports are not published unless asked for.`,
		Example: `  mycompose run --rm web python manage.py migrate
  mycompose run --rm --no-deps -v "$PWD:/src" web sh`,
		Args: cobra.MinimumNArgs(1), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error { return runRun(cmd, s, &f, args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVar(&f.Remove, "rm", false, "Remove the container when it ends")
	flags.BoolVarP(&f.detach, "detach", "d", false, "Run in the background, print the id")
	flags.StringArrayVarP(&f.environment, "env", "e", nil, "Variable: NAME=VALUE, or NAME to pass ours on")
	flags.StringArrayVar(&f.envFiles, "env-from-file", nil, "File of variables, NAME=VALUE a line")
	flags.StringVar(&f.entrypoint, "entrypoint", "", "Entrypoint in place of the service's")
	flags.StringVar(&f.Name, "name", "", "Name of the container")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "Label: NAME=VALUE")
	flags.BoolVar(&f.NoDeps, "no-deps", false, "Without the services that it depends on")
	flags.StringArrayVarP(&f.publish, "publish", "p", nil, "Port to publish: [[IP:]HOST:]CONTAINER[/PROTOCOL]")
	flags.BoolVarP(&f.ServicePorts, "service-ports", "P", false, "Publish the service's ports")
	flags.BoolVar(&f.UseAliases, "use-aliases", false, "Answer to the service's names")
	flags.StringVarP(&f.User, "user", "u", "", "User: name or id, with :GROUP")
	flags.StringArrayVarP(&f.volumes, "volume", "v", nil, "Mount: [SOURCE:]TARGET[:ro]")
	flags.StringSliceVar(&f.CapAdd, "cap-add", nil, "Capability to add, may be given several times")
	flags.StringSliceVar(&f.CapDrop, "cap-drop", nil, "Capability to drop, may be given several times")
	flags.StringVarP(&f.WorkingDir, "workdir", "w", "", "Folder to start in")
	flags.BoolVarP(&f.noTTY, "no-tty", "T", false, "No terminal; none is made either if we have none")
	flags.BoolVarP(&f.interactive, "interactive", "i", true, "Pass standard input on")
	flags.BoolVarP(&f.tty, "tty", "t", true, "A terminal")
	flags.BoolVar(&f.RunRequest.Build, "build", false, "Build the image first")
	flags.StringVar(&f.RunRequest.Pull, "pull", "", "When to pull: always, missing, never")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "Only the command's own output")
	flags.BoolVar(&f.quietBuild, "quiet-build", false, "No output of build steps")
	flags.BoolVar(&f.quietPull, "quiet-pull", false, "No progress of pulls")
	flags.BoolVar(&f.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file no longer has")
	flags.Lookup("tty").Hidden = true
	return cmd
}

// request completes the request.
func (f *runFlags) request(cmd *cobra.Command, s *session, args []string) (client.RunRequest, error) {
	r := f.RunRequest
	r.Service, r.Command = args[0], args[1:]
	if cmd.Flags().Changed("entrypoint") {
		words, err := shellwords.Parse(f.entrypoint)
		if err != nil {
			return r, fmt.Errorf("invalid value for --entrypoint: %q: %w", f.entrypoint, err)
		}
		r.Entrypoint = append([]string{}, words...)
	}
	fromFiles, err := readVariables(s, f.envFiles)
	if err != nil {
		return r, err
	}
	r.Environment = s.parseEnvironment(append(fromFiles, f.environment...))
	r.Labels = map[string]string{}
	for _, l := range f.labels {
		name, value, _ := strings.Cut(l, "=")
		r.Labels[name] = value
	}
	for _, text := range f.publish {
		port, err := parsePublish(text)
		if err != nil {
			return r, err
		}
		r.Ports = append(r.Ports, port)
	}
	for _, text := range f.volumes {
		mount, err := parseMount(text, s.process.Dir, s.env["HOME"])
		if err != nil {
			return r, err
		}
		r.Mounts = append(r.Mounts, mount)
	}
	if len(r.Ports) > 0 && r.ServicePorts {
		return r, errors.New("--service-ports and --publish are incompatible")
	}
	r.Terminal = f.tty && !f.detach && s.wantsTTY(f.noTTY)
	r.Stdin = f.interactive && !f.detach
	r.NoStart = !f.detach
	return r, nil
}

// readVariables reads files of NAME=VALUE lines; # begins a comment.
func readVariables(s *session, files []string) ([]string, error) {
	var out []string
	for _, name := range files {
		data, err := os.ReadFile(absolute(s.process.Dir, name))
		if err != nil {
			return nil, fmt.Errorf("cannot read variables: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				out = append(out, line)
			}
		}
	}
	return out, nil
}

func runRun(cmd *cobra.Command, s *session, f *runFlags, args []string) error {
	request, err := f.request(cmd, s, args)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	p, err := s.input(ctx, args[:1], nil)
	if err != nil {
		return err
	}
	op, err := s.operation(client.Run, p, request)
	if err != nil {
		return err
	}
	if f.quiet {
		s.screen = s.screen.Quiet()
	}
	result, err := s.run(ctx, op, ui.ProgressOptions{Title: "run", QuietBuild: f.quietBuild, QuietPull: f.quietPull})
	if err != nil {
		return err
	}
	if err := outcome(result); err != nil {
		return s.explain(ctx, result)
	}
	if len(result.Started) != 1 {
		return fmt.Errorf("cannot run %s: the daemon made no container", request.Service)
	}
	id := result.Started[0]
	if f.detach {
		s.screen.Println(id)
		return nil
	}
	return s.runAttached(ctx, id, request)
}

// startOnce starts a container that must run once only. A daemon that was lost
// over it may have started it or not: the next one knows.
func startOnce(ctx context.Context, c *client.Client, id string) error {
	for {
		err := c.StartContainer(ctx, id)
		if err == nil || !client.Lost(err) || ctx.Err() != nil {
			return err
		}
		all, listErr := c.Containers(ctx, "")
		if listErr != nil {
			return listErr
		}
		i := slices.IndexFunc(all, func(c spec.Container) bool { return c.Blueprint.ID == id })
		if i < 0 || !all[i].Status.StartedAt.IsZero() {
			return nil // what became of it shows
		}
	}
}

// hangupPatience is how long a program may take to end when its terminal is closed,
// as long as a stop gives it by default.
const hangupPatience = 10 * time.Second

// hangUp tells a container that our terminal was closed, as docker compose does, and
// takes it away if nobody wants it after its end: a first process without a handler
// does not heed the signal.
func hangUp(ctx context.Context, c *client.Client, id string, remove bool) {
	err := c.SignalContainer(ctx, id, "SIGHUP")
	if !remove {
		return // it may live on
	}
	patient, cancel := context.WithTimeout(ctx, hangupPatience)
	defer cancel()
	// Whatever comes of it, there is nobody any more to be told.
	if err == nil {
		_, _ = c.WaitContainer(patient, id, spec.UntilExited)
	}
	_ = c.RemoveContainer(ctx, id, spec.Remove{Force: true, Volumes: true})
}

// runAttached starts the container with its stdio here, and returns its exit
// code. With --rm it is taken away also if we are killed: by the daemon then.
func (s *session) runAttached(ctx context.Context, id string, r client.RunRequest) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	detached := false
	if r.Remove {
		defer func() {
			if detached {
				return // the daemon removes it when it has ended
			}
			if err := c.RemoveContainer(ctx, id, spec.Remove{Force: true, Volumes: true}); err != nil {
				s.screen.Error(err)
			}
		}()
	}
	stream, err := c.AttachFirst(ctx, id, r.Stdin, 0)
	if err != nil {
		return err
	}
	if err := startOnce(ctx, c, id); err != nil {
		stream.Close()
		return err // 1, as docker compose: only exec has a code of its own for it
	}
	hooks, end := s.postStart(ctx, c, id)
	defer end()
	if r.Terminal {
		// It may have ended already.
		_ = c.ResizeContainer(ctx, id, s.size())
	}
	detached, err = s.join(ctx, stream, remote{
		terminal: r.Terminal, stdin: r.Stdin, detachKeys: detachKeys(),
		resize: func(ctx context.Context, size client.Resize) error { return c.ResizeContainer(ctx, id, size) },
		signal: func(ctx context.Context, name string) error { return c.SignalContainer(ctx, id, name) },
		cutOff: c.CutOff, hangup: func() { hangUp(ctx, c, id, r.Remove) },
		attach: func(ctx context.Context, from int64) (*client.Stream, error) {
			return c.AttachFirst(ctx, id, r.Stdin, from)
		},
	})
	if err != nil {
		return err
	}
	if detached {
		return <-hooks
	}
	status, err := c.WaitContainer(ctx, id, spec.UntilExited)
	if err != nil {
		return err
	}
	if err := <-hooks; err != nil && status.ExitCode != 0 {
		s.screen.Error(err) // its own code counts
	} else if err != nil {
		return err
	}
	return exitCode(status.ExitCode)
}

// postStart runs the hooks after a start while the container is attached to; the
// channel gets how they ended. They end with end.
func (s *session) postStart(ctx context.Context, c *client.Client, id string) (hooks <-chan error, end func()) {
	ctx, end = context.WithCancel(ctx)
	done := make(chan error, 1)
	go s.guarded(func() { done <- c.RunPostStart(ctx, id) })
	return done, end
}
