package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// file is one YAML file, parsed once. The parser is the one that compose-go
// uses, so that both read the same.
type file struct {
	path, shown string
	// dir is the folder for relative paths, env the variables for interpolation.
	dir  string
	env  map[string]string
	data []byte
	// documents are the roots; several documents are merged in order.
	documents []*yaml.Node
	// broken files were reported and have no documents.
	broken bool
	// tagged files hold !reset or !override, which only compose-go resolves.
	tagged bool

	pairsOf map[*yaml.Node][]pair
}

// pair is one entry of a mapping.
type pair struct{ key, value *yaml.Node }

// open reads and parses a file once; what is wrong with it is reported.
func (l *projectLoader) open(path, dir string, env map[string]string) *file {
	if f, ok := l.opened[path]; ok {
		return f
	}
	f := &file{path: path, shown: l.shown(path), dir: dir, env: env, pairsOf: map[*yaml.Node][]pair{}}
	l.opened[path] = f
	data, err := l.bytes(path)
	if err != nil {
		f.broken = true
		l.problems.add(Position{File: f.shown}, "", "cannot read compose file: "+cause(err), "name an existing file")
		return f
	}
	f.data = data
	if at, message, hint := textError(data); message != "" {
		f.broken = true
		at.File = f.shown
		l.problems.add(at, "", message, hint)
		return f
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var root yaml.Node
		err := decoder.Decode(&root)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			f.broken = true
			at, message, hint := syntaxError(data, err)
			at.File = f.shown
			l.problems.add(at, "", message, hint)
			return f
		}
		if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
			if deep := tooDeep(root.Content[0], 0); deep != nil {
				f.broken = true
				l.problems.add(f.place(deep), "", fmt.Sprintf("lists and mappings lie in each other more than %d deep", maxDepth), "no key needs that")
				return f
			}
			f.documents = append(f.documents, root.Content[0])
			f.tagged = f.tagged || hasTag(root.Content[0], 0)
		}
	}
	return f
}

// hasTag looks for the tags that change how files merge.
func hasTag(n *yaml.Node, depth int) bool {
	if n.Tag == "!reset" || n.Tag == "!override" {
		return true
	}
	for _, c := range n.Content {
		if hasTag(c, depth+1) {
			return true
		}
	}
	return false
}

var yamlPlace = pattern(`line (\d+)(?:, column (\d+))?: `)

// opened are the complaints that come lines after their cause.
var opened = pattern(`quoted scalar|flow sequence|flow mapping`)

// syntaxError turns the parser's complaint into a place and words.
func syntaxError(data []byte, err error) (Position, string, string) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := Position{Line: 1, Column: 1}
	if all := yamlPlace().FindAllStringSubmatchIndex(text, -1); all != nil {
		m := all[len(all)-1]
		if opened().MatchString(text) {
			m = all[0] // where the quote or bracket opens
		}
		at.Line, _ = strconv.Atoi(text[m[2]:m[3]])
		at.Column = 0
		if m[4] >= 0 {
			at.Column, _ = strconv.Atoi(text[m[4]:m[5]])
		}
		text = text[all[len(all)-1][1]:]
	}
	// The parser proper counts lines from 0, its scanner from 1.
	if strings.HasSuffix(fmt.Sprintf("%T", err), "ParserError") && !strings.Contains(text, "unknown anchor") {
		at.Line++
	}
	lines := strings.Split(string(data), "\n")
	at.Line = min(max(at.Line, 1), len(lines))
	line := lines[at.Line-1]
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if at.Column == 0 {
		at.Column = len(indent) + 1
	}
	if tab := strings.IndexByte(indent, '\t'); tab >= 0 {
		at.Column = tab + 1
		return at, "the line is indented with a tab", "indent with spaces"
	}
	switch {
	case strings.Contains(text, "unknown anchor"):
		at.Column = max(strings.Index(line, "*"), 0) + 1
		return at, text, "define it first, as &name"
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "did not find expected '-' indicator"):
		return at, fmt.Sprintf("the indentation of %d spaces fits no line above", len(indent)),
			"give keys of one mapping and entries of one list the same indentation"
	case strings.Contains(text, "<document start>"):
		return at, "this line is indented less than the first key of the file", "begin all keys of the top level in the same column"
	case strings.Contains(text, "mapping values are not allowed") && !strings.Contains(line[:min(at.Column-1, len(line))], ": "):
		at.Column = len(indent) + 1
		return at, fmt.Sprintf("the indentation of %d spaces is deeper than that of the line above, which has a value already", len(indent)),
			"give keys of one mapping the same indentation"
	case strings.Contains(text, "mapping values are not allowed"):
		return at, "a second \": \" in one line", "put the value in quotes, or check the indentation of this line"
	case strings.Contains(text, "unexpected end of stream"):
		return at, "the file ends inside a quoted text", "close the quote"
	case strings.Contains(text, "cannot start any token"):
		return at, "a value begins with a character that YAML reserves", "put the value in quotes"
	case strings.Contains(text, "',' or ']'"):
		return at, "the list in [ ] is not closed", "add the missing , or ]"
	case strings.Contains(text, "',' or '}'"):
		return at, "the mapping in { } is not closed", "add the missing , or }"
	case strings.Contains(text, "could not find expected ':'"):
		return at, "a key without a colon", "write key: value"
	}
	return at, "not YAML: " + text, "see the line above too"
}

// pairs returns the entries of a mapping, own keys first, then those of "<<"
// that are not overridden. Repeated keys are reported once.
func (l *projectLoader) pairs(f *file, n *yaml.Node, path string) []pair {
	if known, ok := f.pairsOf[n]; ok {
		return known
	}
	f.pairsOf[n] = nil // a mapping that merges itself adds nothing
	first := map[string]*yaml.Node{}
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" || key.Value == "<<" && key.Kind == yaml.ScalarNode && key.Style == 0 {
			if before, ok := first[key.Value]; ok {
				l.problems.add(f.place(key), join(path, key.Value),
					fmt.Sprintf("%s is given twice, first in line %d", join(path, key.Value), before.Line), "write one: <<: [*a, *b]")
				continue
			}
			first[key.Value] = key
			merged = append(merged, l.mergedPairs(f, value, path)...)
			continue
		}
		if before, ok := first[key.Value]; ok && key.Kind == yaml.ScalarNode {
			l.problems.add(f.place(key), join(path, key.Value),
				fmt.Sprintf("%s is given twice, first in line %d", join(path, key.Value), before.Line), "keep one of them")
			continue
		}
		if key.Kind == yaml.ScalarNode {
			first[key.Value] = key
		}
		own = append(own, pair{key, value})
	}
	for _, p := range merged {
		if _, ok := first[p.key.Value]; !ok {
			first[p.key.Value] = p.key
			own = append(own, p)
		}
	}
	f.pairsOf[n] = own
	return own
}

// mergedPairs resolves the value of "<<": a mapping or a list of mappings.
func (l *projectLoader) mergedPairs(f *file, n *yaml.Node, path string) []pair {
	sources := []*yaml.Node{n}
	if target := deref(n); target.Kind == yaml.SequenceNode {
		sources = target.Content
	}
	var all []pair
	for _, one := range sources {
		if target := deref(one); target.Kind == yaml.MappingNode {
			all = append(all, l.pairs(f, target, path)...)
			continue
		}
		l.problems.add(f.place(one), path, "<< in "+nameOf(path)+" merges no mapping", "write <<: *name, with &name at a mapping")
	}
	return all
}

// deref follows aliases.
func deref(n *yaml.Node) *yaml.Node {
	for range 50 {
		if n.Kind != yaml.AliasNode || n.Alias == nil {
			break
		}
		n = n.Alias
	}
	return n
}

// join appends a key to a key path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// plain is the Go form of a node as compose-go expects it, without what was cut.
func (l *projectLoader) plain(f *file, n *yaml.Node) any {
	n = deref(n)
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for _, p := range l.pairs(f, n, "") {
			if !l.cut[p.key] {
				m[p.key.Value] = l.plain(f, p.value)
			}
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			if !l.cut[c] {
				list = append(list, l.plain(f, c))
			}
		}
		return list
	}
	if n.ShortTag() == "!!str" {
		return n.Value
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	return v
}

// projectName is the top-level name, filled in; "" without one.
func (f *file) projectName(l *projectLoader) string {
	name := ""
	for _, root := range f.documents {
		if root.Kind != yaml.MappingNode {
			continue
		}
		for _, p := range l.pairs(f, root, "") {
			if p.key.Value == "name" && deref(p.value).Kind == yaml.ScalarNode {
				if text, err := l.substitute(deref(p.value).Value, f.env); err == nil {
					name = text
				}
			}
		}
	}
	return name
}
