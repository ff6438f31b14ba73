package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/load"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// options are what load is asked with.
func (s *session) options(enable []string) (load.Options, error) {
	build, err := s.buildID()
	if err != nil {
		return load.Options{}, err
	}
	g := s.globals
	return load.Options{
		Dir: s.process.Dir, Files: g.files, Stdin: s.process.Stdin, ProjectName: g.projectName, Profiles: g.profiles,
		EnvFiles: g.envFiles, ProjectDir: g.projectDir, Enable: enable, Env: s.env, Build: build,
	}, nil
}

// loadGarbage is how much a load may leave behind before it is collected, in
// bytes: compose-go needs 46 MB for 50 services, and marking what lives while
// that grows costs more than the memory of a short-lived command is worth.
const loadGarbage = 256 << 20

// loadFiles loads without collecting garbage below that bound.
func loadFiles(ctx context.Context, o load.Options) (*load.Result, error) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(loadGarbage)
	defer func() {
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}()
	return load.Load(ctx, o)
}

// load parses the project and shows its warnings.
func (s *session) load(ctx context.Context, enable []string) (*load.Result, error) {
	o, err := s.options(enable)
	if err != nil {
		return nil, err
	}
	result, err := loadFiles(ctx, o)
	s.warn(result.Warnings)
	if err != nil {
		return nil, err
	}
	return result, nil
}

func (s *session) warn(warnings []string) {
	for _, w := range warnings {
		s.screen.Warn(w)
	}
}

// project is a project on its way to the daemon.
type project struct {
	name string
	// input is what an operation carries; nil for one known by name only.
	input *client.Input
	// services are all known names, disabled ones included.
	services []string
	// unattached are those with attach: false.
	unattached []string
	model      *model.Project // nil if the daemon has it already
	found      bool           // by its file, not by name alone
	file       *model.Outline // of that file; nil if not found by known
	wrong      bool           // its file is there and has mistakes
}

// input resolves the project for a command that needs its model: by asking the
// daemon whether what it keeps still holds, else by loading. scale is --scale.
func (s *session) input(ctx context.Context, services []string, scale map[string]int) (*project, error) {
	o, err := s.options(services)
	if err != nil {
		return nil, err
	}
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	key := o.Key()
	if len(scale) == 0 && !slices.Contains(o.Files, "-") {
		kept, ok, err := s.kept(ctx, c, o, key)
		if err != nil {
			return nil, err
		}
		if ok {
			s.warn(kept.Warnings)
			p := &project{
				name: kept.Project, services: kept.Services, unattached: kept.Unattached,
				input: &client.Input{Key: key, Fingerprint: kept.Fingerprint},
			}
			s.reload = func(ctx context.Context) (*client.Input, error) {
				p, err := s.loadInput(ctx, key, services, nil)
				if err != nil {
					return nil, err
				}
				return p.input, nil
			}
			return p, p.check(services)
		}
	}
	return s.loadInput(ctx, key, services, scale)
}

func (s *session) loadInput(ctx context.Context, key string, services []string, scale map[string]int) (*project, error) {
	result, err := s.load(ctx, services)
	if err != nil {
		return nil, err
	}
	return s.toInput(result, key, services, scale)
}

// inputToWatch is input for a command that begins to watch. The files are always
// loaded: only so the place of a wrong path is known.
// It also returns what follows these files, nil if they are on standard input.
func (s *session) inputToWatch(ctx context.Context, services []string, scale map[string]int) (*project, *client.Follow, error) {
	o, err := s.options(services)
	if err != nil {
		return nil, nil, err
	}
	result, err := s.load(ctx, services)
	if err != nil {
		return nil, nil, err
	}
	if err := result.CheckWatch(services); err != nil {
		return nil, nil, err
	}
	next, err := follow(o, result)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.toInput(result, o.Key(), services, scale)
	return p, next, err
}

// toInput makes the input of a loaded project.
func (s *session) toInput(result *load.Result, key string, services []string, scale map[string]int) (*project, error) {
	p := &project{name: result.Project.Name, model: result.Project, services: names(result.Project), unattached: result.Project.Unattached()}
	if err := p.check(services); err != nil {
		return nil, err
	}
	if err := errors.Join(checkScale(result, scale), checkProcessors(result), result.CheckSysctls(hostSysctl), result.CheckBlockDevices(hostDevice)); err != nil {
		return nil, err
	}
	data, err := model.Encode(result.Project)
	if err != nil {
		return nil, err
	}
	p.input = &client.Input{
		Key: key, Fingerprint: result.Inputs.Fingerprint(), Model: data,
		Contents: result.Contents, Warnings: result.Warnings,
	}
	if !result.Inputs.Stdin { // that cannot be looked at again
		inputs, err := json.Marshal(result.Inputs)
		if err != nil {
			return nil, fmt.Errorf("cannot write inputs: %w", err)
		}
		p.input.Inputs = inputs
	}
	return p, nil
}

// checkScale checks all numbers of replicas as if those of --scale stood in
// the file; the project stays as it is.
func checkScale(result *load.Result, scale map[string]int) error {
	written := result.Project.Services
	defer func() { result.Project.Services = written }()
	result.Project.Services = maps.Clone(written)
	for name, n := range scale {
		service, ok := written[name]
		if !ok {
			return noService(name, names(result.Project))
		}
		service.Scale = n
		result.Project.Services[name] = service
	}
	return result.CheckScale()
}

// checkProcessors holds cpuset: against this host. A host that does not tell
// its processors lets the kernel decide.
func checkProcessors(result *load.Result) error {
	if !result.NeedsProcessors() {
		return nil
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil
	}
	return result.CheckProcessors(strings.TrimSpace(string(online)))
}

// hostSysctl reads a kernel parameter of this host. One that may not be read
// may be set all the same, and those of a link are there only with the link.
func hostSysctl(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc/sys", filepath.Clean("/"+strings.ReplaceAll(name, ".", "/"))))
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || strings.Contains(name, ".conf.") || strings.Contains(name, ".neigh.")) {
		return "", nil
	}
	return string(text), err
}

// kept asks for inputs under a key and reports whether they still hold. The
// error is that of a daemon that cannot serve us.
func (s *session) kept(ctx context.Context, c *client.Client, o load.Options, key string) (client.KeptInput, bool, error) {
	kept, err := c.KeptInput(ctx, key)
	if client.StaysDown(err) {
		return client.KeptInput{}, false, err
	}
	if err != nil { // nothing kept, or what is wrong shows again
		return client.KeptInput{}, false, c.Ready(ctx)
	}
	var inputs load.Inputs
	if json.Unmarshal(kept.Inputs, &inputs) != nil {
		return kept, false, nil
	}
	return kept, inputs.Unchanged(o), nil
}

func names(p *model.Project) []string {
	out := p.ServiceNames()
	for name := range p.Disabled {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// unknownService is the error of a name that no service has.
type unknownService struct {
	name  string
	known []string
}

func (e *unknownService) Error() string { return "no such service: " + e.name }
func (e *unknownService) Unwrap() error { return spec.ErrNotFound }

// hint names the service that was most likely meant, or all if they are few.
func (e *unknownService) hint() string {
	if near := load.Nearest(e.name, slices.Values(e.known)); near != "" {
		return fmt.Sprintf("did you mean `%s`?", near)
	}
	if len(e.known) == 0 || len(e.known) > 12 {
		return ""
	}
	return "the services are " + strings.Join(e.known, ", ")
}

func noService(name string, known []string) error { return &unknownService{name, known} }

// check finds arguments that are no services.
func (p *project) check(services []string) error {
	for _, name := range services {
		if !slices.Contains(p.services, name) {
			return noService(name, p.services)
		}
	}
	return nil
}

// known finds the project of a command that needs no model: by -p, by
// COMPOSE_PROJECT_NAME, or by the files. Files that have become wrong do no
// harm if the daemon remembers what they belonged to.
func (s *session) known(ctx context.Context) (*project, error) {
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if name := orElse(s.globals.projectName, s.env["COMPOSE_PROJECT_NAME"]); name != "" && len(s.globals.files) == 0 {
		if err := load.CheckName(name); err != nil {
			return nil, err
		}
		return s.remembered(ctx, c, name)
	}
	o, err := s.options(nil)
	if err != nil {
		return nil, err
	}
	kept, unchanged, err := s.kept(ctx, c, o, o.Key())
	if err != nil {
		return nil, err
	}
	if unchanged {
		return &project{name: kept.Project, services: kept.Services, found: true, file: kept.Outline}, nil
	}
	result, err := loadFiles(ctx, o)
	if err == nil {
		return &project{name: result.Project.Name, services: names(result.Project), model: result.Project, found: true, file: result.Project.Outline()}, nil
	}
	if kept.Project == "" {
		return nil, err
	}
	s.screen.Warn("the compose file is wrong now; going on with project " + kept.Project + " as it was: " + err.Error())
	return &project{name: kept.Project, services: kept.Services, wrong: true}, nil
}

// remembered is a project that only the daemon knows. Its services are those
// of the kept model and of its containers.
func (s *session) remembered(ctx context.Context, c *client.Client, name string) (*project, error) {
	services, err := c.ProjectServices(ctx, name)
	if err != nil && !errors.Is(err, spec.ErrNotFound) {
		return nil, err
	}
	containers, err := c.Containers(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, container := range containers {
		if service := container.Blueprint.Labels[labelService]; service != "" && !slices.Contains(services, service) {
			services = append(services, service)
		}
	}
	return &project{name: name, services: services}, nil
}

// labels that compose gives to containers, as scripts know them.
const (
	labelService   = "com.docker.compose.service"
	labelDependsOn = "com.docker.compose.depends_on"
	labelNumber    = "com.docker.compose.container-number"
	labelOneOff    = "com.docker.compose.oneoff"
)
