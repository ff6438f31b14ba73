package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// attachToFlags are the flags of `attach`.
type attachToFlags struct {
	index             int
	noStdin, sigProxy bool
	detachKeys        string
}

func attachCommand(s *session) *cobra.Command {
	var f attachToFlags
	cmd := &cobra.Command{
		Use: "attach [OPTIONS] SERVICE", Short: "Join our terminal to the first process of a container",
		Long: `Join our terminal to the first process of a container: what it writes from now
on is shown, and keys reach it if the service has stdin_open. Ctrl-P Ctrl-Q leaves
it alone where it has a terminal (tty: true); otherwise Ctrl-C is passed on.`,
		Example: `  mycompose attach shell
  mycompose attach --no-stdin --index 2 web`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := parseDetachKeys(f.detachKeys)
			if err != nil {
				return err
			}
			target, err := s.target(cmd, args[0], f.index)
			if err != nil {
				return err
			}
			return s.attachTo(cmd.Context(), target, f, keys)
		},
	}
	cmd.Flags().IntVar(&f.index, "index", 0, "Number of the replica; the first by default")
	cmd.Flags().BoolVar(&f.noStdin, "no-stdin", false, "Show only, pass no keys on")
	cmd.Flags().BoolVar(&f.sigProxy, "sig-proxy", true, "Pass signals on")
	cmd.Flags().StringVar(&f.detachKeys, "detach-keys", "", "Keys that leave it: ctrl-p,ctrl-q by default")
	return cmd
}

func (s *session) attachTo(ctx context.Context, target spec.Container, f attachToFlags, keys []byte) error {
	c, err := s.dial(ctx)
	if err != nil {
		return err
	}
	b := target.Blueprint
	open := func(ctx context.Context, _ int64) (*client.Stream, error) {
		return c.Attach(ctx, b.ID, b.StdinOpen && !f.noStdin)
	}
	stream, err := open(ctx, 0)
	if err != nil {
		return err
	}
	if b.Terminal {
		_ = c.ResizeContainer(ctx, b.ID, s.size()) // it may have ended already
	}
	signal := func(ctx context.Context, name string) error { return c.SignalContainer(ctx, b.ID, name) }
	if !f.sigProxy {
		signal = nil
	}
	detached, err := s.join(ctx, stream, remote{
		terminal: b.Terminal, stdin: b.StdinOpen && !f.noStdin, detachKeys: keys, signal: signal, attach: open, cutOff: c.CutOff,
		resize: func(ctx context.Context, size client.Resize) error { return c.ResizeContainer(ctx, b.ID, size) },
	})
	if err != nil || detached {
		return err
	}
	status, err := c.WaitContainer(ctx, b.ID, spec.UntilExited)
	if err != nil {
		return err
	}
	return exitCode(status.ExitCode)
}
