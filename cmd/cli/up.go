package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/ui"
)

// upFlags are the flags of `up`.
type upFlags struct {
	client.UpRequest
	attachFlags
	detach, noColor, noPrefix, timestamps, quietBuild, quietPull, menu, noModel bool
	scale                                                                       []string
	timeout, waitTimeout                                                        int
}

func upCommand(s *session) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use: "up [OPTIONS] [SERVICE...]", Short: "Bring services up: build or pull, create, start, follow their output",
		Example: `  mycompose up -d                  everything, in the background
  mycompose up                     and show what they say; Ctrl-C stops them
  mycompose up -d --build web      build web anew; its dependencies run too
  mycompose up --exit-code-from test   stop all when one ends, and end as test did
  mycompose up -d --wait           return when all are running or healthy
  mycompose up -d --scale web=3    three of web
  mycompose up -d --watch          and put saved files into them, in the background
  mycompose up -d --timings        say at the end where the time went
  mycompose up --dry-run           print the plan, change nothing`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error { return runUp(cmd, s, &f, args) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.detach, "detach", "d", false, "Run in the background")
	flags.BoolVar(&f.UpRequest.Build, "build", false, "Build images first")
	flags.BoolVar(&f.NoBuild, "no-build", false, "Never build, also if an image is missing")
	flags.StringVar(&f.UpRequest.Pull, "pull", "", "When to pull: always, missing, never, build")
	flags.BoolVar(&f.quietPull, "quiet-pull", false, "No progress of pulls")
	flags.BoolVar(&f.quietBuild, "quiet-build", false, "No output of build steps")
	flags.BoolVar(&f.ForceRecreate, "force-recreate", false, "Make containers anew although nothing changed")
	flags.BoolVar(&f.NoRecreate, "no-recreate", false, "Keep containers although something changed")
	flags.BoolVar(&f.RecreateDependencies, "always-recreate-deps", false, "Make containers of services that the named ones depend on anew, too")
	flags.BoolVarP(&f.RenewAnonymous, "renew-anon-volumes", "V", false, "Give containers that are made anew fresh anonymous volumes")
	flags.BoolVarP(&f.RecreateVolumes, "yes", "y", false, "Ask nothing; volumes that differ from the file are made anew, and their content is lost")
	flags.BoolVar(&f.NoDeps, "no-deps", false, "Without the services that these depend on")
	flags.BoolVar(&f.NoStart, "no-start", false, "Create, do not start")
	flags.BoolVar(&f.RemoveOrphans, "remove-orphans", false, "Remove containers of services that the file no longer has")
	f.attachFlags.flags(flags)
	flags.StringArrayVar(&f.scale, "scale", nil, "Number of replicas: SERVICE=NUMBER, may be given several times")
	flags.BoolVar(&f.Wait, "wait", false, "Wait until all are running or healthy; implies --detach")
	flags.IntVar(&f.waitTimeout, "wait-timeout", 0, "Seconds to wait at most; 0 is without bound")
	flags.IntVarP(&f.timeout, "timeout", "t", 0, "Seconds from stop signal to SIGKILL")
	flags.BoolVarP(&f.Watch, "watch", "w", false, "Act on changes of files as develop.watch says; with --detach in the background")
	flags.BoolVar(&f.noModel, "no-watch-model", false, "With --watch, do not follow changes of the compose files themselves")
	flags.BoolVar(&f.Timings, "timings", false, "Say at the end what each step waited for and took, and the critical path; milliseconds, on stderr")
	flags.BoolVar(&f.noColor, "no-color", false, "Log lines without colour")
	flags.BoolVar(&f.noPrefix, "no-log-prefix", false, "Log lines without the service's name")
	flags.BoolVar(&f.menu, "menu", true, "Keys while logs are shown: d detach, o open in the browser, r restart, w watch; only on a terminal (COMPOSE_MENU)")
	flags.BoolVar(&f.timestamps, "timestamps", false, "Log lines with their time")
	return cmd
}

// request checks the flags and completes the request.
func (f *upFlags) request(cmd *cobra.Command, s *session, services []string) (client.UpRequest, error) {
	r := f.UpRequest
	var err error
	if r.Timeout, err = timeout(cmd, f.timeout); err != nil {
		return r, err
	}
	if r.Scale, err = parseScale(f.scale); err != nil {
		return r, err
	}
	switch {
	case r.Build && r.NoBuild:
		return r, errors.New("--build and --no-build are incompatible")
	case r.ForceRecreate && r.NoRecreate:
		return r, errors.New("--force-recreate and --no-recreate are incompatible")
	case r.Watch && (r.NoStart || s.globals.dryRun):
		return r, errors.New("--watch is incompatible with --no-start and --dry-run")
	case r.RecreateDependencies && r.NoRecreate:
		return r, errors.New("--always-recreate-deps and --no-recreate are incompatible")
	case r.Timings && s.globals.dryRun:
		return r, errors.New("--timings and --dry-run are incompatible")
	case f.waitTimeout < 0:
		return r, fmt.Errorf("invalid value for --wait-timeout: %d is negative", f.waitTimeout)
	case !slices.Contains([]string{"", "always", "missing", "never", "build", "policy", "if_not_present"}, r.Pull):
		return r, &unknownValue{fmt.Sprintf("invalid --pull option %q", r.Pull), "it is always, missing, never or build"}
	}
	if err := f.compatible(f.detach, f.Wait); err != nil {
		return r, err
	}
	switch r.Pull {
	case "policy":
		r.Pull = ""
	case "if_not_present":
		r.Pull = "missing"
	}
	r.Services = services
	r.WaitTimeout = time.Duration(f.waitTimeout) * time.Second
	r.RemoveOrphans = r.RemoveOrphans || s.truth("COMPOSE_REMOVE_ORPHANS")
	r.IgnoreOrphans = s.truth("COMPOSE_IGNORE_ORPHANS")
	return r, nil
}

// upInput resolves the project; one to be watched also follows its files.
func (s *session) upInput(ctx context.Context, f *upFlags, r *client.UpRequest) (*project, error) {
	if !r.Watch {
		return s.input(ctx, r.Services, r.Scale)
	}
	p, next, err := s.inputToWatch(ctx, r.Services, r.Scale)
	if !f.noModel {
		r.Follow = next
	}
	return p, err
}

func runUp(cmd *cobra.Command, s *session, f *upFlags, services []string) error {
	request, err := f.request(cmd, s, services)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	p, err := s.upInput(ctx, f, &request)
	if err != nil {
		return err
	}
	progress := ui.ProgressOptions{Title: "up", QuietBuild: f.quietBuild, QuietPull: f.quietPull}
	if request.Timings {
		progress.Timings = "files read"
		if p.model == nil {
			progress.Timings = "files unchanged"
		}
	}
	if f.detach || f.Wait || f.NoStart || s.globals.dryRun {
		if err := s.perform(ctx, client.Up, p, request, progress); err != nil {
			return err
		}
		s.summarize(ctx, p.name, services, "logs -f", "ps", "down")
		s.expose(ctx, p.name, services)
		return nil
	}
	return s.upAttached(ctx, p, request, f.attachFlags, s.wantsMenu(f.menu, cmd.Flags().Changed("menu")), progress, ui.LogOptions{
		NoColor: f.noColor, NoPrefix: f.noPrefix, Timestamps: f.timestamps,
	})
}
