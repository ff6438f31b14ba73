package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Files returns the places of the settings files, /etc first.
func Files(home, xdgConfigHome string) []string {
	files := []string{"/etc/mycompose/config.yaml"}
	switch {
	case xdgConfigHome != "":
		files = append(files, filepath.Join(xdgConfigHome, "mycompose", "config.yaml"))
	case home != "":
		files = append(files, filepath.Join(home, ".config", "mycompose", "config.yaml"))
	}
	return files
}

// value is one value of a file in its text form.
type value struct {
	text   string
	source string // file:line
}

// readFile returns the values of a file by dotted key, and a line for
// everything wrong in it. A missing file is empty.
func readFile(path string, keys []setting) (map[string]value, []string) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []string{err.Error()}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, []string{path + ": " + err.Error()}
	}
	if len(document.Content) == 0 {
		return nil, nil
	}
	r := reader{path: path, keys: keys, values: map[string]value{}}
	r.mapping(document.Content[0], "")
	return r.values, r.wrong
}

type reader struct {
	path   string
	keys   []setting
	values map[string]value
	wrong  []string
}

func (r *reader) errorf(n *yaml.Node, format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf("%s:%d:%d: ", r.path, n.Line, n.Column)+fmt.Sprintf(format, args...))
}

// mapping walks a mapping whose keys are settings or the first words of some.
func (r *reader) mapping(n *yaml.Node, prefix string) {
	if n.Kind != yaml.MappingNode {
		r.errorf(n, "%s must be a mapping", orTop(strings.TrimSuffix(prefix, ".")))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, content := n.Content[i], n.Content[i+1]
		key := prefix + name.Value
		if seen[key] {
			r.errorf(name, "%s stands twice", key)
			continue
		}
		seen[key] = true
		switch {
		case slices.ContainsFunc(r.keys, func(k setting) bool { return k.key == key }):
			text, err := text(content)
			if err != nil {
				r.errorf(content, "%s: %v", key, err)
				continue
			}
			r.values[key] = value{text, fmt.Sprintf("%s:%d", r.path, name.Line)}
		case slices.ContainsFunc(r.keys, func(k setting) bool { return strings.HasPrefix(k.key, key+".") }):
			r.mapping(content, key+".")
		default:
			r.errorf(name, "unknown key %q; known are %s", key, known(r.keys))
		}
	}
}

func orTop(s string) string {
	if s == "" {
		return "the file"
	}
	return s
}

func known(keys []setting) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.key)
	}
	return strings.Join(names, ", ")
}

// text brings a node into the text form of table: a scalar as it is, a list
// with commas, a mapping of lists with semicolons.
func text(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of words")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	case yaml.MappingNode:
		var items []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			inner, err := text(n.Content[i+1])
			if err != nil || n.Content[i+1].Kind == yaml.MappingNode {
				return "", fmt.Errorf("%s must be a word or a list of words", n.Content[i].Value)
			}
			items = append(items, n.Content[i].Value+"="+inner)
		}
		return strings.Join(items, ";"), nil
	default:
		return "", errors.New("aliases are not understood here")
	}
}
