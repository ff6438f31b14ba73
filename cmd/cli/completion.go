package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/load"
)

// completion offers words for the shell. It starts no daemon and tells no
// errors: what cannot be known is not offered.
type completion struct{ s *session }

// completes is the type of cobra's completion functions.
type completes = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completing reports whether a call asks for words to offer.
func completing(args []string) bool {
	return len(args) > 0 && strings.HasPrefix(args[0], "__complete")
}

// addCompletion gives the commands and their flags what they offer.
func addCompletion(s *session, cmd *cobra.Command) {
	c := completion{s}
	switch cmd.CommandPath() {
	case "mycompose volume rm", "mycompose volume inspect":
		cmd.ValidArgsFunction = c.offer(c.volumes)
	case "mycompose network rm", "mycompose network inspect":
		cmd.ValidArgsFunction = c.offer(c.networks)
	case "mycompose image rm":
		cmd.ValidArgsFunction = c.offer(c.images)
	case "mycompose exec", "mycompose run", "mycompose port", "mycompose attach":
		cmd.ValidArgsFunction = c.first(c.services)
	case "mycompose scale":
		cmd.ValidArgsFunction = c.suffixed(c.services, "=")
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if offer := c.flag(cmd.Name(), f.Name); offer != nil {
			// It fails only for a flag that has one already.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, offer)
		}
	})
	for _, sub := range cmd.Commands() {
		addCompletion(s, sub)
	}
}

// flag is what a flag of a command offers, nil for files or nothing.
func (c completion) flag(command, name string) completes {
	switch command + " --" + name {
	case "config --explain":
		return c.offer(c.variables)
	case "config --format":
		return words("yaml", "json")
	case "plan --format", "explain --format", "doctor --format":
		return words("text", "json")
	case "config --hash", "up --exit-code-from", "up --attach", "up --no-attach":
		return c.offer(c.services)
	case "up --scale":
		return c.suffixed(c.services, "=")
	case "down --rmi":
		return words("local", "all")
	case "ps --status":
		return words("created", "running", "paused", "restarting", "exited")
	case "kill --signal":
		return words("SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
	case "pull --policy":
		return words("missing", "always")
	}
	switch name {
	case "project-name":
		return c.offer(c.projects)
	case "profile":
		return c.offer(c.profiles)
	case "progress":
		return words("auto", "tty", "plain", "json", "quiet")
	case "ansi":
		return words("never", "always", "auto")
	case "pull":
		return words("always", "missing", "never", "build")
	case "format":
		return words("table", "json")
	case "tail", "since", "until", "timeout", "wait-timeout", "index", "user", "name", "env", "label", "workdir":
		return words()
	}
	return nil
}

// words offers fixed ones, and no files.
func words(list ...string) completes {
	return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
}

// offer opens the session and offers what find finds, as far as it was not
// given yet.
func (c completion) offer(find func(context.Context) []string) completes {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if c.s.open() != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := slices.DeleteFunc(find(cmd.Context()), func(word string) bool { return slices.Contains(args, word) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// first offers for the first argument only; what follows is the command's own.
func (c completion) first(find func(context.Context) []string) completes {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return c.offer(find)(cmd, args, toComplete)
	}
}

// suffixed offers words that go on: "web=".
func (c completion) suffixed(find func(context.Context) []string, suffix string) completes {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		found, directive := c.offer(find)(cmd, args, toComplete)
		for i := range found {
			found[i] += suffix
		}
		return found, directive | cobra.ShellCompDirectiveNoSpace
	}
}

// loaded is the project as the files say, nil where they are wrong or missing.
func (c completion) loaded(ctx context.Context) *load.Result {
	o, err := c.s.options(nil)
	if err != nil {
		return nil
	}
	result, err := loadFiles(ctx, o)
	if err != nil {
		return nil
	}
	return result
}

// ask does something with a daemon, if one runs.
func (c completion) ask(f func(*client.Client)) {
	build, err := c.s.buildID()
	if err != nil {
		return
	}
	daemon := client.New(client.Config{RunDir: c.s.place.Run, Build: build})
	defer daemon.Close()
	f(daemon)
}

func (c completion) services(ctx context.Context) (names []string) {
	if name := c.s.globals.projectName; name != "" && len(c.s.globals.files) == 0 {
		c.ask(func(d *client.Client) { names, _ = d.ProjectServices(ctx, name) })
		if len(names) > 0 {
			return names
		}
	}
	if r := c.loaded(ctx); r != nil {
		return r.Services()
	}
	return nil
}

func (c completion) profiles(ctx context.Context) []string {
	if r := c.loaded(ctx); r != nil {
		return r.Profiles()
	}
	return nil
}

func (c completion) variables(ctx context.Context) []string {
	if r := c.loaded(ctx); r != nil {
		return r.Known()
	}
	return nil
}

func (c completion) projects(ctx context.Context) (names []string) {
	c.ask(func(d *client.Client) {
		list, _ := d.Projects(ctx)
		for _, p := range list {
			names = append(names, p.Name)
		}
	})
	return names
}

func (c completion) volumes(ctx context.Context) (names []string) {
	c.ask(func(d *client.Client) {
		list, _ := d.Volumes(ctx)
		for _, v := range list {
			names = append(names, v.Name)
		}
	})
	return names
}

func (c completion) networks(ctx context.Context) (names []string) {
	c.ask(func(d *client.Client) {
		list, _ := d.Networks(ctx)
		for _, n := range list {
			names = append(names, n.Name)
		}
	})
	return names
}

func (c completion) images(ctx context.Context) (names []string) {
	c.ask(func(d *client.Client) {
		list, _ := d.Images(ctx)
		for _, i := range list {
			names = append(names, i.Names...)
		}
	})
	return names
}

// completeServices offers the service names of the project.
func completeServices(s *session) completes {
	c := completion{s}
	return c.offer(c.services)
}
