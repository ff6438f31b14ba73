package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mycompose/mycompose/cmd/client"
)

// globals are the flags that stand before the command or after it.
type globals struct {
	files, profiles, envFiles list
	projectName, projectDir   string
	ansi, progress            string
	stateDir                  string
	dryRun, noAnsi            bool
	parallel                  int
}

// list is a flag that may be given several times, before the command and after
// it; it satisfies pflag.Value.
type list []string

func (l *list) Set(text string) error { *l = append(*l, text); return nil }
func (l *list) Type() string          { return "value" }
func (l *list) String() string        { return strings.Join(*l, ",") }

func (g *globals) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("global", pflag.ContinueOnError)
	f.VarP(&g.files, "file", "f", "Compose file, may be given several times; - is standard input")
	f.StringVarP(&g.projectName, "project-name", "p", "", "Name of the project")
	f.Var(&g.profiles, "profile", "Switch a profile on, may be given several times")
	f.Var(&g.envFiles, "env-file", "File of variables in place of .env, may be given several times")
	f.StringVar(&g.projectDir, "project-directory", "", "Folder that relative paths of the file start from")
	f.StringVar(&g.progress, "progress", "", "How to show progress: auto, tty, plain, json, quiet; output of build steps stays plain text on stdout")
	f.StringVar(&g.ansi, "ansi", "", "Colours and cursor movement: never, always, auto")
	f.IntVar(&g.parallel, "parallel", -1, "How many things are done at the same time; -1 leaves it to mycompose (COMPOSE_PARALLEL_LIMIT)")
	f.BoolVar(&g.noAnsi, "no-ansi", false, "As --ansi never")
	f.StringVar(&g.projectDir, "workdir", "", "As --project-directory")
	for _, old := range []string{"no-ansi", "workdir"} {
		f.Lookup(old).Hidden = true
	}
	f.BoolVar(&g.dryRun, "dry-run", false, "Say what would be done, change nothing")
	f.StringVar(&g.stateDir, "state-dir", "", "Folder of all durable state (/var/lib/mycompose)")
	return f
}

const rootHelp = `mycompose takes a Compose file and keeps this machine in the state that it
describes, on its own container engine: no other program is needed.

  mycompose up -d         bring the project in this folder up
  mycompose ps            what runs
  mycompose logs -f web   what the service web says
  mycompose exec web sh   a shell inside it
  mycompose down          take it all away; -v with its volumes

The compose file is compose.yaml (or compose.yml, docker-compose.yaml,
docker-compose.yml) here or in a folder above. Flags and exit codes are docker
compose's. The first command starts a daemon by itself.`

// command is one of the tree, made only where a call can reach it.
type command struct {
	name string
	make func(*session) *cobra.Command
}

// group is a heading of the help and its commands.
type group struct {
	title    string
	commands []command
}

func groups() []group {
	return []group{
		{"Projects:", []command{
			{"up", upCommand}, {"down", downCommand}, {"start", startCommand}, {"stop", stopCommand}, {"restart", restartCommand},
			{"kill", killCommand}, {"rm", rmCommand}, {"ps", psCommand}, {"ls", lsCommand},
			{"create", createCommand}, {"scale", scaleCommand}, {"pause", pauseCommand}, {"unpause", unpauseCommand}, {"wait", waitCommand},
			{"plan", planCommand}, {"explain", explainCommand},
			{"watch", watchCommand},
		}},
		{"Inside:", []command{
			{"logs", logsCommand}, {"exec", execCommand}, {"run", runCommand}, {"attach", attachCommand}, {"top", topCommand},
			{"stats", statsCommand}, {"events", eventsCommand}, {"port", portCommand}, {"cp", copyCommand},
			{"export", exportCommand},
		}},
		{"Files and images:", []command{
			{"config", configCommand}, {"build", buildCommand}, {"pull", pullCommand}, {"push", pushCommand}, {"images", imagesCommand},
			{"image", imageCommand}, {"volumes", volumesCommand}, {"volume", volumeCommand}, {"network", networkCommand},
		}},
		{"This program:", []command{{"info", infoCommand}, {"doctor", doctorCommand}, {"version", versionCommand}, {"system", systemCommand}}},
	}
}

// needed reports which commands a call may reach: those whose names are among
// its arguments. Help, completion and a call that names none need all.
func needed(args []string) func(name string) bool {
	all := func(string) bool { return true }
	named := false
	for _, a := range args {
		if a == "help" || a == "-h" || a == "--help" || a == "completion" || strings.HasPrefix(a, "__complete") {
			return all
		}
		named = named || known(a)
	}
	if !named {
		return all
	}
	return func(name string) bool { return slices.Contains(args, name) }
}

func known(name string) bool {
	for _, g := range groups() {
		if slices.ContainsFunc(g.commands, func(c command) bool { return c.name == name }) {
			return true
		}
	}
	return slices.ContainsFunc(hidden(), func(c command) bool { return c.name == name }) || slices.Contains(notBuiltCommands[:], name)
}

// hidden are commands that the help does not show.
func hidden() []command {
	return []command{{client.LoadCommand, loadCommand}, {"man", manCommand}, {"convert", convertCommand}}
}

// newRoot makes the tree of commands as far as a call with these arguments
// needs it.
func newRoot(s *session, args []string) *cobra.Command {
	root := &cobra.Command{
		Use: "mycompose", Short: "Run Compose projects on an engine of its own", Long: rootHelp,
		SilenceErrors: true, SilenceUsage: true, TraverseChildren: true, DisableAutoGenTag: true,
		Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if v, err := cmd.Flags().GetBool("version"); err == nil && v {
				return showVersion(s, false, "")
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(flagErrors(args))
	root.Flags().AddFlagSet(s.globals.flags())
	root.Flags().BoolP("version", "v", false, "Show the version")
	need := needed(args)
	for _, g := range groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title})
		for _, c := range g.commands {
			if !need(c.name) {
				continue
			}
			cmd := c.make(s)
			cmd.GroupID = g.title
			prepare(cmd, s)
			root.AddCommand(cmd)
		}
	}
	for _, c := range hidden() {
		if need(c.name) {
			cmd := c.make(s)
			prepare(cmd, s)
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("This program:")
	root.SetCompletionCommandGroupID("This program:")
	addNotBuilt(root, need)
	addExamples(root)
	if completing(args) {
		addCompletion(s, root)
	}
	return root
}

// prepare lets a command take the global flags too, hidden, with those of
// their short forms that it does not use itself; and opens the session before
// it runs.
func prepare(cmd *cobra.Command, s *session) {
	for _, sub := range cmd.Commands() {
		prepare(sub, s)
	}
	s.globals.flagsInto(cmd.Flags())
	cmd.Args = inUse(cmd.Args)
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := s.open(); err != nil {
				return err
			}
			if s.globals.dryRun && cmd.Annotations[dryRunnable] == "" {
				return fmt.Errorf("not built yet: %s --dry-run", cmd.CommandPath())
			}
			return run(cmd, args)
		}
	}
}

// dryRunnable marks commands that honour --dry-run, or change nothing anyway.
const dryRunnable = "dry-run"

func canDryRun() map[string]string { return map[string]string{dryRunnable: "yes"} }

// flagsInto adds the global flags to a command's, as far as their names are
// free.
func (g *globals) flagsInto(into *pflag.FlagSet) {
	g.flags().VisitAll(func(f *pflag.Flag) {
		if into.Lookup(f.Name) != nil {
			return
		}
		f.Hidden = true
		if f.Shorthand != "" && into.ShorthandLookup(f.Shorthand) != nil {
			f.Shorthand = ""
		}
		into.AddFlag(f)
	})
}
