package load

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// checker walks all files of a load: those given, and those that they include
// or extend.
type checker struct {
	*projectLoader
	shape     *shape
	supported map[string]bool
	idleKeys  map[string]string
	idles     idles
	checks    map[string]valueCheck
	visits    int
	// done are the files that were checked, by path: one may be included twice.
	done map[string]bool
}

// check reports what is wrong inside the files, before anything is merged.
func (l *projectLoader) check() {
	c := &checker{projectLoader: l, shape: composeShape(), supported: supportedKeys(), idleKeys: idleKeys(), checks: valueChecks(), done: map[string]bool{}}
	for _, f := range l.files {
		l.resets = nil
		c.file(f, nil)
		for _, path := range l.resets {
			l.problems.forget(path, notYet)
			delete(l.cutPaths, path)
		}
	}
	for _, text := range c.idles.warnings() {
		l.warnings.add("%s", text)
	}
}

func (c *checker) walker(f *file, prefix string) *walker {
	return &walker{
		projectLoader: c.projectLoader, f: f, supported: c.supported, idleKeys: c.idleKeys, idles: &c.idles, checks: c.checks,
		prefix: prefix, active: map[*yaml.Node]bool{}, visits: &c.visits,
	}
}

// file checks one compose file; within are the files that include it.
func (c *checker) file(f *file, within []string) {
	if f.broken {
		return
	}
	if c.done[f.path] {
		return
	}
	c.done[f.path] = true
	within = append(slices.Clone(within), f.path)
	if len(f.documents) == 0 {
		c.problems.add(Position{File: f.shown, Line: 1, Column: 1}, "", "empty compose file", "add services:")
		return
	}
	for _, root := range f.documents {
		c.includes(f, root, within)
		c.walker(f, "").value(root, root, c.shape, spot{})
		c.extends(f, root, "", nil)
		c.version(f, root)
	}
}

func (c *checker) version(f *file, root *yaml.Node) {
	if key, _ := c.get(f, root, "version"); key != nil {
		c.warnings.add("%s: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion", f.path)
	}
}

// get finds an entry of a mapping; nils if n is none or has no such key.
func (c *checker) get(f *file, n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil || deref(n).Kind != yaml.MappingNode {
		return nil, nil
	}
	for _, p := range c.pairs(f, deref(n), "") {
		if p.key.Value == name {
			return p.key, deref(p.value)
		}
	}
	return nil, nil
}

// texts are the scalars of a text or of a list of texts, variables filled in.
func (c *checker) texts(f *file, n *yaml.Node) []located {
	if n == nil {
		return nil
	}
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	var out []located
	for _, one := range list {
		target := deref(one)
		if target.Kind != yaml.ScalarNode || target.ShortTag() != "!!str" {
			continue
		}
		if text, err := c.substitute(target.Value, f.env); err == nil {
			out = append(out, located{text, one})
		}
	}
	return out
}

// located is a text with the node that holds it.
type located struct {
	text string
	node *yaml.Node
}

// includes checks the files that the top-level include names.
func (c *checker) includes(f *file, root *yaml.Node, within []string) {
	_, list := c.get(f, root, "include")
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	for i, entry := range list.Content {
		c.include(f, entry, fmt.Sprintf("include[%d]", i), within)
	}
}

func (c *checker) include(f *file, entry *yaml.Node, path string, within []string) {
	n := deref(entry)
	paths := c.texts(f, n)
	dir, env := "", f.env
	if n.Kind == yaml.MappingNode {
		_, value := c.get(f, n, "path")
		paths = c.texts(f, value)
		if _, value = c.get(f, n, "project_directory"); value != nil {
			for _, t := range c.texts(f, value) {
				dir = c.resolve(f, t.text)
			}
		}
	}
	w := c.walker(f, "")
	for i, p := range paths {
		file := c.resolve(f, p.text)
		if wrong, _ := checkLocal(p.text); wrong != "" {
			return
		}
		if !c.inputs.exists(file) {
			w.report(p.node, entry, path, "included file "+p.text+" "+missing(file), "looked for "+file)
			return
		}
		if slices.Contains(within, file) {
			w.report(p.node, entry, path, "include cycle: "+c.chain(append(within, file)), "take one include away")
			return
		}
		if i == 0 {
			if dir == "" {
				dir = filepath.Dir(file)
			}
			if env = c.includeEnv(f, n, dir, entry, path); env == nil {
				return
			}
		}
		c.file(c.open(file, dir, env), within)
	}
}

// missing says why a path is not a file that can be read.
func missing(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return "is a folder"
	}
	return "does not exist"
}

// includeEnv is the environment of an included file: its own .env or env_file
// below that of the including one. It is nil if a file is missing.
func (c *checker) includeEnv(f *file, n *yaml.Node, dir string, entry *yaml.Node, path string) map[string]string {
	var files []string
	_, value := c.get(f, n, "env_file")
	for _, t := range c.texts(f, value) {
		if t.text == "/dev/null" {
			continue
		}
		file := c.resolve(f, t.text)
		if !c.inputs.exists(file) {
			c.walker(f, "").report(t.node, entry, path, "env file "+t.text+" "+missing(file), "looked for "+file)
			return nil
		}
		files = append(files, file)
	}
	if value == nil {
		if file := filepath.Join(dir, ".env"); c.inputs.exists(file) {
			files = append(files, file)
		}
	}
	vars, err := c.parseEnvFiles(files, f.env)
	if err != nil {
		c.walker(f, "").report(entry, entry, path, err.Error(), "")
		return nil
	}
	env := maps.Clone(f.env)
	for name, text := range vars {
		if _, set := env[name]; !set {
			env[name] = text
		}
	}
	return env
}

// resolve makes a path of a file absolute.
func (c *checker) resolve(f *file, path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		c.inputs.variable("HOME")
		return filepath.Join(c.opts.Env["HOME"], rest)
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(f.dir, path)
}

func (c *checker) chain(paths []string) string {
	var names []string
	for _, p := range paths {
		names = append(names, c.shown(p))
	}
	return strings.Join(names, " -> ")
}
