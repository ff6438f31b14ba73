package load

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Variable says where the value of a variable came from.
type Variable struct {
	Name  string
	Value string
	// Sources have it, the one in force first; none means that it is not set.
	Sources []Source
	// Uses are the places in compose files that it is filled into.
	Uses []Use
	// Containers are the services whose containers get a variable of that name.
	Containers []ContainerVariable
}

// Source is one place that sets a variable.
type Source struct {
	// Position of the line, or the zero value for the command's environment.
	Position
	Value string
}

// String names the place.
func (s Source) String() string {
	if s.File == "" {
		return "the environment of this command"
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// Use is one place that a variable is filled into.
type Use struct {
	Position
	// Path is the key path, Text the value as it stands in the file.
	Path, Text string
	// Default is what stands in for a variable that is not set, if HasDefault.
	Default    string
	HasDefault bool
}

// ContainerVariable is a variable as the containers of a service get it.
type ContainerVariable struct {
	Service, Value string
	// From is environment or env_file, with its place.
	From string
}

// Explain says where a variable's value came from: the command's environment
// comes before env files, of those a later one before an earlier; a default in
// a compose file stands in where none sets it. Names are the candidates for a
// suggestion if nothing knows the variable (Variable.Known).
func (r *Result) Explain(name string) Variable { return r.explain(name) }

// Known reports whether anything sets or uses the variable.
func (v Variable) Known() bool { return len(v.Sources)+len(v.Uses)+len(v.Containers) > 0 }

// Known are the variables that the files or the containers use, sorted.
func (r *Result) Known() []string {
	names := map[string]bool{}
	for n := range r.Inputs.Variables {
		names[n] = true
	}
	for _, s := range r.merged.Services {
		for n := range s.Environment {
			names[n] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// Nearest is a variable that a typing error most likely meant, or "".
func (r *Result) Nearest(name string) string { return nearest(name, slices.Values(r.Known())) }

func (l *projectLoader) explain(r *Result, name string) Variable {
	v := Variable{Name: name, Value: l.env[name]}
	if value, ok := l.opts.Env[name]; ok {
		v.Sources = append(v.Sources, Source{Value: value})
	}
	for _, path := range slices.Backward(l.envPaths) {
		if line := l.lineOf(path, name); line > 0 {
			values, err := l.parseEnvFiles([]string{path}, l.opts.Env)
			if err == nil {
				v.Sources = append(v.Sources, Source{Position{File: l.shown(path), Line: line, Column: 1}, values[name]})
			}
		}
	}
	if value, ok := l.env[name]; ok && len(v.Sources) == 0 && name == "COMPOSE_PROJECT_NAME" {
		v.Sources = append(v.Sources, Source{Position{File: l.dir}, value})
	}
	for _, path := range slices.Sorted(maps.Keys(l.opened)) {
		f := l.opened[path]
		for _, root := range f.documents {
			v.Uses = append(v.Uses, uses(f, root, name, "", map[*yaml.Node]bool{})...)
		}
	}
	v.Containers = l.inContainers(r, name)
	return v
}

// lineOf is the last line of an env file that sets a variable, 0 if none does.
func (l *projectLoader) lineOf(path, name string) int {
	data, err := l.inputs.read(path)
	if err != nil {
		return 0
	}
	set := regexp.MustCompile(`^\s*(?:export\s+)?` + regexp.QuoteMeta(name) + `\s*[=:]`)
	last := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		if set.Match(line) {
			last = i + 1
		}
	}
	return last
}

// uses finds a variable in the scalars below a node.
func uses(f *file, n *yaml.Node, name, path string, seen map[*yaml.Node]bool) []Use {
	if n = deref(n); seen[n] {
		return nil
	}
	seen[n] = true
	var out []Use
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			out = append(out, uses(f, n.Content[i+1], name, join(path, n.Content[i].Value), seen)...)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			out = append(out, uses(f, c, name, fmt.Sprintf("%s[%d]", path, i), seen)...)
		}
	case yaml.ScalarNode:
		if u, ok := useIn(n.Value, name); ok {
			u.Position, u.Path, u.Text = f.place(n), path, n.Value
			out = append(out, u)
		}
	}
	return out
}

// useIn looks for $NAME, ${NAME}, ${NAME:-default} and the like in a text; $$
// is a dollar sign.
func useIn(text, name string) (Use, bool) {
	text = strings.ReplaceAll(text, "$$", "")
	quoted := regexp.QuoteMeta(name)
	m := regexp.MustCompile(`\$(?:` + quoted + `\b|\{` + quoted + `(?:(:?[-?+])([^}]*))?\})`).FindStringSubmatch(text)
	if m == nil {
		return Use{}, false
	}
	return Use{Default: m[2], HasDefault: strings.HasSuffix(m[1], "-")}, true
}

// inContainers finds the services that give their containers the variable.
func (l *projectLoader) inContainers(r *Result, name string) []ContainerVariable {
	var out []ContainerVariable
	for _, service := range slices.Sorted(maps.Keys(r.merged.Services)) {
		s := r.merged.Services[service]
		value, ok := s.Environment[name]
		if !ok {
			continue
		}
		c := ContainerVariable{Service: service, From: "environment"}
		if value != nil {
			c.Value = *value
		}
		list := join(join("services", service), "environment")
		at, found := l.index.find(join(list, name), 0)
		if !found {
			at = l.index.item(list, func(text string) bool { return text == name || strings.HasPrefix(text, name+"=") })
			found = len(l.index.items[list]) > 0 && at != l.index.At(list)
		}
		if found {
			c.From = "environment at " + at.String()
		} else {
			for _, path := range l.serviceEnv[service] {
				if line := l.lineOf(path, name); line > 0 {
					c.From = fmt.Sprintf("env_file at %s:%d", l.shown(path), line)
				}
			}
		}
		out = append(out, c)
	}
	return out
}
