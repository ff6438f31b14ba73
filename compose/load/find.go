package load

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/sirupsen/logrus"
	"go.yaml.in/yaml/v4"
)

// projectLoader is one call of Load.
type projectLoader struct {
	opts Options
	view View
	// env is the variables for interpolation: the command's, then env files.
	env map[string]string
	// dir is the absolute project folder; name the project's name.
	dir, name string
	profiles  []string
	// envPaths are the env files for interpolation, later ones win.
	envPaths []string
	// serviceEnv are the paths of each service's env_file, later ones win.
	serviceEnv map[string][]string
	// files are the compose files in the order of merging.
	files []*file
	// opened are all files by absolute path, included and extended ones too.
	opened map[string]*file
	// cut are nodes that were reported and must not reach compose-go.
	cut map[*yaml.Node]bool
	// cutPaths are the key paths of cut, for errors that would only repeat one.
	cutPaths map[string]bool
	// resets are the key paths that the file in hand takes back with !reset.
	resets   []string
	problems problems
	warnings warnings
	inputs   *recorder
	index    Positions
}

type warnings struct{ list []string }

func (w *warnings) add(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(w.list, text) {
		w.list = append(w.list, text)
	}
}

func newLoader(opts Options) *projectLoader {
	// compose-go warns through the process-wide logger and repeats itself; we
	// say the same in our own words (Result.Warnings).
	logrus.SetLevel(logrus.ErrorLevel)
	return &projectLoader{
		opts:     opts,
		env:      maps.Clone(opts.Env),
		opened:   map[string]*file{},
		cut:      map[*yaml.Node]bool{},
		cutPaths: map[string]bool{}, serviceEnv: map[string][]string{},
		inputs: newRecorder(opts),
		index:  newPositions(),
	}
}

// find settles files, folder, environment, profiles and name.
func (l *projectLoader) find() error {
	if l.env == nil {
		l.env = map[string]string{}
	}
	paths := l.absolute(l.opts.Files)
	if err := l.readEnvFiles(l.firstDir(paths)); err != nil {
		return err
	}
	if len(paths) == 0 {
		paths = l.filesFromEnv()
	}
	if len(paths) == 0 {
		paths = l.discover()
	}
	if len(paths) == 0 {
		return fmt.Errorf("%w; looked for %s in %s and the folders above", ErrNoFile,
			strings.Join(cli.DefaultFileNames, ", "), l.opts.Dir)
	}
	l.dir = l.firstDir(paths)
	if err := l.readEnvFiles(l.dir); err != nil {
		return err
	}
	for _, path := range paths {
		l.files = append(l.files, l.open(path, l.dir, l.env))
	}
	l.profiles = l.findProfiles()
	return l.findName()
}

// absolute resolves the arguments of -f; "-" stays.
func (l *projectLoader) absolute(paths []string) []string {
	var out []string
	for _, p := range paths {
		if p != "-" && !filepath.IsAbs(p) {
			p = filepath.Join(l.opts.Dir, p)
		}
		out = append(out, p)
	}
	return out
}

// firstDir is the project folder as far as it is known.
func (l *projectLoader) firstDir(paths []string) string {
	if l.opts.ProjectDir != "" {
		return l.absolute([]string{l.opts.ProjectDir})[0]
	}
	for _, p := range paths {
		if p != "-" {
			return filepath.Dir(p)
		}
	}
	return l.opts.Dir
}

func (l *projectLoader) filesFromEnv() []string {
	value := l.env["COMPOSE_FILE"]
	if value == "" {
		return nil
	}
	separator := l.env["COMPOSE_PATH_SEPARATOR"]
	if separator == "" {
		separator = ":"
	}
	return l.absolute(strings.Split(value, separator))
}

// discover looks in the folder and those above.
func (l *projectLoader) discover() []string {
	dir := l.firstDir(nil)
	for {
		found := l.present(cli.DefaultFileNames, dir)
		if len(found) > 0 {
			if len(found) > 1 {
				l.warnings.add("Found multiple config files with supported names: %s", strings.Join(found, ", "))
				l.warnings.add("Using %s", found[0])
			}
			overrides := l.present(cli.DefaultOverrideFileNames, dir)
			if len(overrides) > 1 {
				l.warnings.add("Found multiple override files with supported names: %s", strings.Join(overrides, ", "))
				l.warnings.add("Using %s", overrides[0])
			}
			if len(overrides) > 0 {
				return []string{found[0], overrides[0]}
			}
			return found[:1]
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func (l *projectLoader) present(names []string, dir string) []string {
	var found []string
	for _, name := range names {
		if path := filepath.Join(dir, name); l.inputs.exists(path) {
			found = append(found, path)
		}
	}
	return found
}

func (l *projectLoader) findProfiles() []string {
	profiles := slices.Clone(l.opts.Profiles)
	if len(profiles) == 0 {
		for p := range strings.SplitSeq(l.env["COMPOSE_PROFILES"], ",") {
			if p = strings.TrimSpace(p); p != "" {
				profiles = append(profiles, p)
			}
		}
	}
	slices.Sort(profiles)
	return slices.Compact(profiles)
}

// findName settles the project name: -p, COMPOSE_PROJECT_NAME, the last file
// with a name, the folder.
func (l *projectLoader) findName() error {
	for _, name := range []string{l.opts.ProjectName, l.env["COMPOSE_PROJECT_NAME"]} {
		if name == "" {
			continue
		}
		if loader.NormalizeProjectName(name) != name {
			return loader.InvalidProjectNameErr(name)
		}
		l.name = name
		break
	}
	if l.name == "" {
		for _, f := range l.files {
			if name := f.projectName(l); name != "" {
				l.name = loader.NormalizeProjectName(name)
			}
		}
	}
	if l.name == "" {
		l.name = loader.NormalizeProjectName(filepath.Base(l.dir))
	}
	if l.name == "" {
		return fmt.Errorf("cannot name the project after %s: no letter or digit in it; add a top-level name or use -p", l.dir)
	}
	l.env["COMPOSE_PROJECT_NAME"] = l.name
	return nil
}

// shown is a path as an error prints it.
func (l *projectLoader) shown(path string) string {
	if path == "-" {
		return "<stdin>"
	}
	rel, err := filepath.Rel(l.opts.Dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return path
	}
	return rel
}

// bytes reads a compose file.
func (l *projectLoader) bytes(path string) ([]byte, error) {
	if path != "-" {
		return l.inputs.read(path)
	}
	l.inputs.in.Stdin = true
	if l.opts.Stdin == nil {
		return nil, errors.New("no standard input")
	}
	return io.ReadAll(l.opts.Stdin)
}

// cause is the short reason of a file error, without operation and path.
func cause(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err.Error()
	}
	return err.Error()
}

// CheckName refuses what cannot be the name of a project, in docker compose's
// words.
func CheckName(name string) error {
	if name == "" || name != loader.NormalizeProjectName(name) {
		return loader.InvalidProjectNameErr(name)
	}
	return nil
}
