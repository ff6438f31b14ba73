package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// attachFlags are the flags of an attached `up`.
type attachFlags struct {
	onExit, onFailure bool
	exitCodeFrom      string
	only, without     []string
	dependencies      bool
}

func (f *attachFlags) flags(flags *pflag.FlagSet) {
	flags.BoolVar(&f.onExit, "abort-on-container-exit", false, "Stop all when one ends; the exit code is that one's")
	flags.BoolVar(&f.onFailure, "abort-on-container-failure", false, "Stop all when one ends with another code than 0")
	flags.StringVar(&f.exitCodeFrom, "exit-code-from", "", "End with the exit code of this service; implies --abort-on-container-exit")
	flags.StringArrayVar(&f.only, "attach", nil, "Show the log of this service only, may be given several times")
	flags.StringArrayVar(&f.without, "no-attach", nil, "Do not show the log of this service, may be given several times")
	flags.BoolVar(&f.dependencies, "attach-dependencies", false, "Show the logs of services that the named ones depend on, too")
}

// any reports whether one was given.
func (f *attachFlags) any() bool {
	return f.onExit || f.onFailure || f.exitCodeFrom != "" || len(f.only) > 0 || f.dependencies
}

// compatible checks them against flags that let nothing be attached.
func (f *attachFlags) compatible(detach, wait bool) error {
	switch {
	case detach && f.any():
		return fmt.Errorf("--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch")
	case wait && f.any():
		return fmt.Errorf("--wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach or --attach-dependencies")
	case f.onExit && f.onFailure:
		return fmt.Errorf("--abort-on-container-exit and --abort-on-container-failure cannot be combined")
	case f.onFailure && f.exitCodeFrom != "":
		return fmt.Errorf("--abort-on-container-failure cannot be combined with --exit-code-from, which implies --abort-on-container-exit")
	}
	return nil
}

// check finds names that are no services.
func (f *attachFlags) check(p *project) error {
	if f.exitCodeFrom != "" && !slices.Contains(p.services, f.exitCodeFrom) {
		return spec.Errorf(spec.ErrNotFound, "no such service: %s: not found", f.exitCodeFrom)
	}
	return p.check(slices.Concat(f.only, f.without))
}

// nothing is no service: names of services hold no space.
const nothing = " "

// shown are the services whose logs are shown; empty is all. --attach shows
// also one with attach: false.
func (f *attachFlags) shown(p *project, named []string) []string {
	services, without := named, slices.Concat(f.without, p.unattached)
	switch {
	case len(f.only) > 0:
		services, without = f.only, f.without
	case f.dependencies:
		services = nil
	}
	if len(without) == 0 {
		return services
	}
	if len(services) == 0 {
		services = p.services
	}
	services = slices.DeleteFunc(slices.Clone(services), func(name string) bool { return slices.Contains(without, name) })
	if len(services) == 0 {
		return []string{nothing}
	}
	return services
}

// culprit is the container whose end stops all others: the first that has ended
// since we began, if ends do so. A container whose good end another one waits
// for has done what it is for.
func (a *attached) culprit(ctx context.Context, c *client.Client) (*spec.Container, error) {
	if !a.attach.onExit && !a.attach.onFailure && a.attach.exitCodeFrom == "" {
		return nil, nil
	}
	containers, err := a.containers(ctx, c, a.request.Services)
	if err != nil {
		return nil, err
	}
	var first *spec.Container
	for i, container := range containers {
		status := container.Status
		switch {
		case status.State != spec.StateExited || !status.ExitedAt.After(a.before[container.Blueprint.ID]):
		case status.ExitCode == 0 && (a.attach.onFailure || awaited(container.Blueprint.Labels[labelService], containers)):
		case first == nil || status.ExitedAt.Before(first.Status.ExitedAt):
			first = &containers[i]
		}
	}
	return first, nil
}

// awaited reports whether a container waits for a service to complete.
func awaited(service string, containers []spec.Container) bool {
	return slices.ContainsFunc(containers, func(c spec.Container) bool {
		for dependency := range strings.SplitSeq(c.Blueprint.Labels[labelDependsOn], ",") {
			if strings.HasPrefix(dependency, service+":service_completed_successfully:") {
				return true
			}
		}
		return false
	})
}

// abort stops all and ends with the exit code of the container that ended, or
// of the service that was asked for.
func (a *attached) abort(ctx context.Context, c *client.Client, culprit spec.Container) error {
	a.screen.Notice(" Compose Stopping Aborting on container exit...")
	if err := a.stop(ctx, c); err != nil {
		return err
	}
	if a.attach.exitCodeFrom == "" {
		return exitCode(culprit.Status.ExitCode)
	}
	containers, err := a.containers(ctx, c, []string{a.attach.exitCodeFrom})
	if err != nil {
		return err
	}
	for _, container := range containers {
		if code := container.Status.ExitCode; code != 0 {
			return exitCode(code)
		}
	}
	return nil
}
