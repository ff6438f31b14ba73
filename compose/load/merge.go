package load

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// merge lets compose-go fill in, merge and extend what the check left over. It
// returns nil if that is not possible; the reason is reported, unless it only
// follows from what was reported before.
func (l *projectLoader) merge(ctx context.Context) *types.Project {
	files, ok := l.configFiles()
	if !ok {
		return nil
	}
	details := types.ConfigDetails{WorkingDir: l.dir, ConfigFiles: files, Environment: maps.Clone(l.env)}
	var project *types.Project
	err := safely(func() (err error) {
		project, err = loader.LoadWithContext(ctx, details, func(o *loader.Options) {
			o.SetProjectName(l.name, true)
			o.Profiles = l.profiles
			o.SkipValidation = true // the walk has done it
			o.SkipConsistencyCheck = true
			o.SkipResolveEnvironment = true
			o.SkipResolveLabels = true
			o.Interpolate.Substitute = substituteQuietly
			l.view.apply(o)
		})
		if err == nil && len(l.opts.Enable) > 0 {
			project, err = project.WithServicesEnabled(l.enable(project)...)
		}
		return err
	})
	if err != nil {
		l.mergeError(err)
		return nil
	}
	for _, f := range l.files {
		project.ComposeFiles = append(project.ComposeFiles, f.path)
	}
	return project
}

// configFiles is what compose-go gets: our parsed trees without what was cut,
// or the text of a file with tags that only it resolves.
func (l *projectLoader) configFiles() ([]types.ConfigFile, bool) {
	var files []types.ConfigFile
	for _, f := range l.files {
		if f.broken || f.tagged && len(l.problems.list) > 0 {
			return nil, false
		}
		if f.tagged {
			files = append(files, types.ConfigFile{Filename: f.path, Content: f.data})
			continue
		}
		for _, root := range f.documents {
			tree, ok := l.plain(f, root).(map[string]any)
			if !ok {
				return nil, false
			}
			delete(tree, "version")
			files = append(files, types.ConfigFile{Filename: f.path, Config: tree})
		}
	}
	return files, true
}

// enable keeps the wanted names that exist.
func (l *projectLoader) enable(p *types.Project) []string {
	return slices.DeleteFunc(slices.Clone(l.opts.Enable), func(name string) bool {
		_, disabled := p.DisabledServices[name]
		return !disabled
	})
}

// substituteQuietly fills variables in without compose-go's own warnings.
func substituteQuietly(text string, lookup template.Mapping) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
}

// safely turns a panic of the merge library into an error: our walk may have
// let a shape through that it does not expect.
func safely(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot merge: %v", r)
		}
	}()
	return fn()
}

var (
	bracketKey = pattern(`\[([^\]\d][^\]]*)\]`)
	keyPath    = pattern(`(?:services|networks|volumes|configs|secrets|include)(?:\.[\w-]+|\[\d+\])*`)
)

// mergeError reports what only compose-go found, at the place that its words
// lead to. It keeps quiet after other mistakes, which may be the cause.
func (l *projectLoader) mergeError(err error) {
	if len(l.problems.list) > 0 {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s):  ")
	at, path := Position{}, ""
	for _, p := range keyPath().FindAllString(bracketKey().ReplaceAllString(text, ".$1"), -1) {
		if found := l.index.At(p); len(p) > len(path) && found.Line > 0 {
			at, path = found, p
		}
	}
	if at.Line == 0 && len(l.files) > 0 {
		at = Position{File: l.files[0].shown, Line: 1, Column: 1}
	}
	l.problems.add(at, path, text, "")
}

// resolveEnvironment puts the variables of env_file and the labels of label_file
// into the services; missing files of enabled services are reported.
func (l *projectLoader) resolveEnvironment(p *types.Project) *types.Project {
	complete, wanted, labelled := true, false, false
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		for _, file := range p.Services[name].LabelFiles {
			complete, labelled = l.labelFile(name, file) && complete, true
		}
		for _, file := range p.Services[name].EnvFiles {
			complete, wanted = l.envFile(name, file) && complete, true
			l.serviceEnv[name] = append(l.serviceEnv[name], file.Path)
		}
	}
	if !complete {
		return p
	}
	resolve := func(wanted bool, with func(bool) (*types.Project, error)) {
		if !wanted {
			return
		}
		if resolved, err := with(true); err != nil {
			l.mergeError(err)
		} else {
			p = resolved
		}
	}
	resolve(wanted, p.WithServicesEnvironmentResolved)
	resolve(labelled, p.WithServicesLabelsResolved)
	return p
}

// labelFile checks one label_file and records what it depends on.
func (l *projectLoader) labelFile(service, file string) bool {
	path := join("services", service) + ".label_file"
	data, err := l.inputs.read(file)
	if err != nil {
		l.problems.add(l.fileItem(path, file), path, fmt.Sprintf("cannot read label file %s of service %s: %s", l.shown(file), service, cause(err)), "name an existing file")
		return false
	}
	if err := dotenv.ParseWithFormat(bytes.NewReader(data), file, map[string]string{}, nil, ""); err != nil {
		e := l.envFileError(file, data, err)
		l.problems.add(e.Position, path, e.Message, e.Hint)
		return false
	}
	return true
}

// envFile checks one env_file and records what it depends on.
func (l *projectLoader) envFile(service string, file types.EnvFile) bool {
	path := join("services", service) + ".env_file"
	data, err := l.inputs.read(file.Path)
	if os.IsNotExist(err) && !bool(file.Required) {
		return true
	}
	if err != nil {
		l.problems.add(l.fileItem(path, file.Path), path,
			fmt.Sprintf("cannot read env file %s of service %s: %s", l.shown(file.Path), service, cause(err)),
			"name an existing file, or add required: false")
		return false
	}
	lookup := func(name string) (string, bool) {
		l.inputs.variable(name)
		value, ok := l.env[name]
		return value, ok
	}
	if file.Format == "raw" {
		knowRaw()
	}
	if err := dotenv.ParseWithFormat(bytes.NewReader(data), file.Path, map[string]string{}, lookup, file.Format); err != nil {
		e := l.envFileError(file.Path, data, err)
		l.problems.add(e.Position, path, e.Message, e.Hint)
		return false
	}
	return true
}

// fileItem finds the list entry or value that names a file.
func (l *projectLoader) fileItem(path, file string) Position {
	return l.index.item(path, func(text string) bool {
		return text != "" && strings.HasSuffix(file, strings.TrimPrefix(text, "./"))
	})
}
