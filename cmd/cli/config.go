package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/load"
)

// configFlags are the flags of `config`.
type configFlags struct {
	format, output, hash, explain                                     string
	quiet, services, volumes, networks, profiles, images, environment bool
	variables, noInterpolate                                          bool
	view                                                              load.View
}

func configCommand(s *session) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "config [OPTIONS] [SERVICE...]", Short: "Check the compose files and print the resolved project",
		Example: `  mycompose config -q && echo fine
  mycompose config --services
  mycompose config --explain TAG
  mycompose config --format json | jq .services.web`,
		Annotations: canDryRun(), ValidArgsFunction: completeServices(s),
		RunE: func(cmd *cobra.Command, args []string) error { return runConfig(cmd, s, &f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "yaml", "yaml or json")
	flags.StringVarP(&f.output, "output", "o", "", "File to write to")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "Only check; the exit code tells")
	flags.BoolVar(&f.services, "services", false, "Only names of services")
	flags.BoolVar(&f.volumes, "volumes", false, "Only names of volumes")
	flags.BoolVar(&f.networks, "networks", false, "Only names of networks")
	flags.BoolVar(&f.profiles, "profiles", false, "Only names of profiles")
	flags.BoolVar(&f.images, "images", false, "Only names of images")
	flags.BoolVar(&f.environment, "environment", false, "Only the variables for interpolation")
	flags.BoolVar(&f.variables, "variables", false, "Only the variables that the files use, with their defaults")
	flags.BoolVar(&f.noInterpolate, "no-interpolate", false, "Leave variables as they are")
	flags.BoolVar(&f.view.KeepMistakes, "no-consistency", false, "Print what has mistakes, too")
	flags.BoolVar(&f.view.KeepForm, "no-normalize", false, "Fill in no names, default network or implied dependencies")
	flags.BoolVar(&f.view.KeepPaths, "no-path-resolution", false, "Leave relative paths relative")
	flags.BoolVar(&f.view.KeepEnvironment, "no-env-resolution", false, "Leave env_file as it is")
	flags.StringVar(&f.explain, "explain", "", "Where the value of a variable came from, and where it is used")
	flags.StringVar(&f.hash, "hash", "", "Hash of a service's configuration, * for all")
	return cmd
}

// convertCommand is an old name of config.
func convertCommand(s *session) *cobra.Command {
	cmd := configCommand(s)
	cmd.Use, cmd.Hidden = strings.Replace(cmd.Use, "config", "convert", 1), true
	return cmd
}

func runConfig(cmd *cobra.Command, s *session, f *configFlags, services []string) error {
	if f.format != "yaml" && f.format != "json" {
		return fmt.Errorf("unsupported format %q: yaml or json", f.format)
	}
	if f.variables || f.noInterpolate {
		return s.rawConfig(cmd, f, services)
	}
	if f.view != (load.View{}) {
		return s.viewConfig(cmd, f, services)
	}
	result, err := s.load(cmd.Context(), services)
	if err != nil {
		return err
	}
	all := names(result.Project)
	for _, name := range services {
		if !slices.Contains(all, name) {
			return noService(name, all)
		}
	}
	if f.explain != "" {
		return explainVariable(s, result, f.explain)
	}
	if f.quiet {
		return nil
	}
	text, err := f.text(result, services)
	if err != nil {
		return err
	}
	return f.write(s, text)
}

// viewConfig prints the project with some of it as the files have it.
func (s *session) viewConfig(cmd *cobra.Command, f *configFlags, services []string) error {
	if f.lists() || len(services) > 0 {
		return errors.New("--no-consistency, --no-normalize, --no-path-resolution and --no-env-resolution show the whole project: take services and other flags away")
	}
	o, err := s.options(nil)
	if err != nil {
		return err
	}
	result, err := load.LoadView(cmd.Context(), o, f.view)
	for _, text := range result.Warnings {
		s.screen.Warn(text)
	}
	if err != nil || f.quiet {
		return err
	}
	text, err := f.whole(result)
	if err != nil {
		return err
	}
	return f.write(s, text)
}

// lists reports whether something else than the project is asked for.
func (f *configFlags) lists() bool {
	return f.services || f.volumes || f.networks || f.profiles || f.images || f.environment || f.hash != "" || f.explain != ""
}

// rawConfig shows the project before variables are filled in.
func (s *session) rawConfig(cmd *cobra.Command, f *configFlags, services []string) error {
	if len(services) > 0 || f.lists() {
		return errors.New("--variables and --no-interpolate show the whole project: take services and other flags away")
	}
	o, err := s.options(nil)
	if err != nil {
		return err
	}
	raw, err := load.LoadRaw(cmd.Context(), o, f.view)
	if err != nil || f.quiet {
		return err
	}
	if f.variables {
		var rows []ui.Variable
		for _, v := range raw.Variables() {
			rows = append(rows, ui.Variable{Name: v.Name, DefaultValue: v.Default, PresenceValue: v.Alternate, Required: v.Required})
		}
		format := "table" // yaml is the default of config, not of this list
		if f.format == "json" {
			format = "json"
		}
		return s.screen.Variables(rows, format)
	}
	print := raw.YAML
	if f.format == "json" {
		print = raw.JSON
	}
	text, err := print()
	if err != nil {
		return err
	}
	return f.write(s, string(text))
}

// write prints a text, or puts it into the file of --output.
func (f *configFlags) write(s *session, text string) error {
	if f.output == "" {
		_, err := s.screen.Write([]byte(text))
		return err
	}
	path := absolute(s.process.Dir, f.output)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		return fmt.Errorf("cannot write the project: %w", err)
	}
	return nil
}

func (f *configFlags) text(r *load.Result, services []string) (string, error) {
	lines := func(list []string) (string, error) {
		if len(list) == 0 {
			return "", nil
		}
		return strings.Join(list, "\n") + "\n", nil
	}
	if err := r.Select(services...); err != nil {
		return "", err
	}
	switch {
	case f.services:
		return lines(r.Project.ServiceNames())
	case f.volumes:
		return lines(r.Volumes())
	case f.networks:
		return lines(r.Networks())
	case f.profiles:
		return lines(r.Profiles())
	case f.images:
		return lines(r.Images())
	case f.environment:
		return lines(r.Environment())
	case f.hash != "":
		return f.hashes(r)
	}
	return f.whole(r)
}

func (f *configFlags) whole(r *load.Result) (string, error) {
	print := r.YAML
	if f.format == "json" {
		print = r.JSON
	}
	data, err := print()
	return string(data), err
}

func (f *configFlags) hashes(r *load.Result) (string, error) {
	list := strings.Split(f.hash, ",")
	if f.hash == "*" {
		list = r.Services()
	}
	var out strings.Builder
	for _, name := range list {
		hash, ok := r.Hash(name)
		if !ok {
			return "", noService(name, r.Services())
		}
		fmt.Fprintf(&out, "%s %s\n", name, hash)
	}
	return out.String(), nil
}

// explainVariable says where a variable's value came from.
func explainVariable(s *session, r *load.Result, name string) error {
	v := r.Explain(name)
	if !v.Known() {
		text := fmt.Sprintf("no such variable: nothing sets or uses %s", name)
		if near := r.Nearest(name); near != "" {
			text += fmt.Sprintf("; did you mean `%s`?", near)
		}
		return errors.New(text)
	}
	var out strings.Builder
	switch {
	case len(v.Sources) > 0:
		fmt.Fprintf(&out, "%s=%s\n  from     %s\n", name, v.Value, v.Sources[0])
		for _, hidden := range v.Sources[1:] {
			fmt.Fprintf(&out, "  hides    %q of %s\n", hidden.Value, hidden)
		}
	case len(v.Uses) > 0:
		fmt.Fprintf(&out, "%s is not set\n", name)
	default:
		fmt.Fprintf(&out, "%s is no variable for the compose file\n", name)
	}
	for _, u := range v.Uses {
		fallback := ""
		if u.HasDefault {
			fallback = fmt.Sprintf(", where its default is %q", u.Default)
		}
		fmt.Fprintf(&out, "  used at  %s %s: %s%s\n", u.Position, u.Path, u.Text, fallback)
	}
	for _, c := range v.Containers {
		fmt.Fprintf(&out, "  in %s it is %q, from %s\n", c.Service, c.Value, c.From)
	}
	_, err := s.screen.Write([]byte(out.String()))
	return err
}
