package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxVisits bounds the nodes looked at in one load: aliases of aliases could
// otherwise grow without end.
const maxVisits = 200_000

// walker checks one file's nodes against the schema and the value checks.
type walker struct {
	*projectLoader
	f         *file
	supported map[string]bool
	idleKeys  map[string]string
	idles     *idles
	checks    map[string]valueCheck
	// prefix stands before key paths in the index, for files that are only
	// extended from.
	prefix string
	active map[*yaml.Node]bool
	visits *int
}

// place of a value or key in the file and in the schema.
type spot struct {
	// path is services.web.ports[0], pattern services.*.ports[].
	path, pattern string
}

func (s spot) key(name string) spot { return spot{join(s.path, name), join(s.pattern, name)} }
func (s spot) any(name string) spot { return spot{join(s.path, name), join(s.pattern, "*")} }
func (s spot) item(i int) spot {
	return spot{fmt.Sprintf("%s[%d]", s.path, i), s.pattern + "[]"}
}

// report tells a mistake at a node and keeps cutNode (the key or the entry)
// from compose-go.
func (w *walker) report(at *yaml.Node, cutNode *yaml.Node, path, message, hint string) {
	w.problems.add(w.f.place(at), path, message, hint)
	if cutNode != nil {
		w.cut[cutNode] = true
	}
	w.cutPaths[path] = true
}

// value checks one value. holder is the key or list entry that goes away if the
// value is wrong.
func (w *walker) value(n, holder *yaml.Node, s *shape, at spot) {
	if *w.visits++; *w.visits > maxVisits {
		if *w.visits == maxVisits+1 {
			w.f.broken = true
			w.report(n, holder, at.path, fmt.Sprintf("the aliases of this file unfold to more than %d values", maxVisits), "use fewer aliases of aliases")
		}
		return
	}
	node := deref(n)
	if node.Tag == "!reset" {
		return
	}
	if w.active[node] {
		w.report(n, holder, at.path, at.path+" contains itself through its alias", "take the alias away")
		w.cut[n] = true
		return
	}
	if s == nil {
		s = &shape{}
	}
	if node.Kind == yaml.ScalarNode {
		w.scalar(node, holder, s, at)
		return
	}
	kind := "object"
	if node.Kind == yaml.SequenceNode {
		kind = "array"
	}
	fit := fitting(s, kind)
	if fit == nil {
		w.wrongType(node, holder, s, at, kind)
		return
	}
	w.active[node] = true
	defer delete(w.active, node)
	if kind == "array" {
		w.list(node, fit, at)
	} else {
		w.mapping(node, holder, fit, at)
	}
}

// fitting is the alternative of s for a value of this kind, nil if none.
func fitting(s *shape, kind string) *shape {
	for _, one := range s.alternatives() {
		if one.allows(kind) {
			return one
		}
	}
	return nil
}

func (w *walker) wrongType(n, holder *yaml.Node, s *shape, at spot, kind string) {
	is := kindWords[kind]
	if kind == "integer" {
		is = kindWords["number"]
	}
	hint := "it must be " + s.wanted()
	switch {
	case kind == "null":
		hint += ", or leave the key out"
	case kind == "date" && fitting(s, "string") != nil:
		hint = fmt.Sprintf("write it in quotes, as text: %q", n.Value)
	case n.Kind == yaml.ScalarNode && fitting(s, "boolean") != nil:
	case n.Kind == yaml.ScalarNode && fitting(s, "string") != nil:
		hint = fmt.Sprintf("write it in quotes, as text: %q", n.Value)
		if check, ok := w.checks[at.pattern]; ok {
			if wrong, right := check(n.Value); wrong != "" {
				hint = right
			}
		}
	}
	name := at.path
	if name == "" {
		name = "the file"
	}
	w.report(n, holder, at.path, name+" is "+is, hint)
}

// onceOnly reports whether an entry may stand in a list only once. Of the other
// lists that the schema wants unique compose-go takes the last of equal entries.
func onceOnly(pattern string) bool {
	switch strings.TrimPrefix(pattern, "services.*.") {
	case "depends_on", "device_cgroup_rules", "external_links", "group_add", "networks", "security_opt", "volumes_from":
		return true
	}
	return false
}

func (w *walker) list(n *yaml.Node, s *shape, at spot) {
	first := map[string]int{}
	for i, entry := range n.Content {
		if value := deref(entry); value.Kind == yaml.ScalarNode && onceOnly(at.pattern) {
			text, _ := w.quietText(value)
			if earlier, there := first[text]; there {
				where := at.item(i)
				w.report(value, entry, where.path, fmt.Sprintf("%s items at %d and %d are equal", at.path, earlier, i), "write "+text+" once")
				continue
			}
			first[text] = i
		}
		where := at.item(i)
		w.index.set(w.prefix+where.path, w.f.place(deref(entry)))
		w.indexItem(w.prefix+at.path, entry)
		w.value(entry, entry, s.items, where)
	}
}

func (w *walker) mapping(n, holder *yaml.Node, s *shape, at spot) {
	seen := map[string]string{}
	list := w.pairs(w.f, n, at.path)
	lost := w.lostChildren(list, s, at)
	for _, p := range list {
		if lost[p.key] {
			continue
		}
		if p.key.Kind != yaml.ScalarNode || p.key.ShortTag() != "!!str" {
			w.keyIsNoText(p.key, at)
			continue
		}
		name := p.key.Value
		seen[name] = deref(p.value).Value
		key, where, known := lookup(s, at, name)
		if !known {
			w.unknownKey(p, s, at)
			continue
		}
		if deref(p.value).Tag == "!reset" {
			w.resets = append(w.resets, where.path)
			continue
		}
		w.index.set(w.prefix+where.path, w.f.place(p.key))
		if _, fixed := s.keys[name]; fixed && w.isChecked(where) && !w.supported[where.pattern] {
			if w.idleKeys[where.pattern] != "" {
				w.value(p.value, p.key, key, w.idle(p, where))
				continue
			}
			w.refuse(p, where)
			continue
		}
		if where.pattern == logOption && slices.Contains(idleLogOptions(), name) {
			w.idles.note(w.f.place(p.key), "logging.options."+name, "is for other log stores")
			continue
		}
		if message, hint := keyProblem(name, where); message != "" {
			w.report(p.key, p.key, where.path, message, hint)
			continue
		}
		w.value(p.value, p.key, key, where)
	}
	for _, name := range append(slices.Clone(s.required), alsoRequired(at.pattern, seen["type"])...) {
		if _, ok := seen[name]; !ok && !w.cutPaths[join(at.path, name)] {
			hint := strings.TrimSpace("add " + name + ": " + w.words(s.keys[name], at.key(name)))
			w.report(n, holder, at.path, fmt.Sprintf("%s has no %s", nameOf(at.path), name), hint)
		}
	}
}

// isChecked says whether keys are held against those that we support.
func (w *walker) isChecked(at spot) bool {
	return len(w.supported) > 0 && !strings.HasPrefix(at.pattern, idlePattern)
}

// keyIsNoText reports a key such as 5, true or [a].
func (w *walker) keyIsNoText(key *yaml.Node, at spot) {
	if deref(key).Kind != yaml.ScalarNode {
		w.report(key, key, at.path, "a key in "+nameOf(at.path)+" is a list or a mapping", "write a name")
		return
	}
	w.report(key, key, join(at.path, key.Value),
		fmt.Sprintf("key %s in %s is no text", key.Value, nameOf(at.path)), fmt.Sprintf("write it in quotes: %q", key.Value))
}

// words lists the values of a key that has a fixed set of them and that we
// support; "" for any other key.
func (w *walker) words(s *shape, at spot) string {
	if s == nil || len(s.enum) == 0 {
		return ""
	}
	words := slices.DeleteFunc(slices.Clone(s.enum), func(word string) bool {
		check, ok := w.checks[at.pattern]
		if !ok {
			return false
		}
		wrong, _ := check(word)
		return wrong != ""
	})
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// alsoRequired are keys without which an entry means nothing, though the schema
// does not ask for them. mountType is the entry's type:, if it has one.
func alsoRequired(pattern, mountType string) []string {
	switch pattern {
	case "services.*.volumes[]":
		if mountType == "bind" {
			return []string{"source", "target"}
		}
		return []string{"target"}
	case "services.*.ports[]":
		return []string{"target"}
	case "services.*.configs[]", "services.*.secrets[]", "services.*.build.secrets[]":
		return []string{"source"}
	case "include[]":
		return []string{"path"}
	}
	return nil
}

// lookup finds the shape for a key.
func lookup(s *shape, at spot, name string) (*shape, spot, bool) {
	if key, ok := s.keys[name]; ok {
		return key, at.key(name), true
	}
	for _, p := range s.patterns {
		if p.match.MatchString(name) {
			return p.shape, at.any(name), true
		}
	}
	return nil, at.any(name), !s.closed
}

// refuse reports a key that the specification knows and we do not.
func (w *walker) refuse(p pair, at spot) {
	w.report(p.key, p.key, at.path, notYet+": "+at.path, "take it away")
}

// idlePattern begins the patterns of what lies in a key without effect.
const idlePattern = "idle."

// idle notes a key that has no effect here. Its value is checked as the schema
// has it and no further.
func (w *walker) idle(p pair, at spot) spot {
	if value := deref(p.value); value.Kind != yaml.MappingNode || len(value.Content) > 0 { // as `config` prints it for any deploy
		w.idles.note(w.f.place(p.key), strings.TrimPrefix(at.pattern, "services.*."), w.idleKeys[at.pattern])
	}
	return spot{path: at.path, pattern: idlePattern + at.pattern}
}

func (w *walker) unknownKey(p pair, s *shape, at spot) {
	key := p.key
	path := join(at.path, key.Value)
	if len(s.keys) == 0 && len(s.patterns) > 0 {
		w.report(key, key, path, fmt.Sprintf("%q is no valid name in %s", key.Value, nameOf(at.path)),
			"use letters, digits, dot, dash and underscore")
		return
	}
	known := w.knownKeys(s, at)
	hint := "the keys here are " + strings.Join(known, ", ")
	if len(known) > 12 || len(known) == 0 {
		hint = "no key of the compose specification is like it"
	}
	if near := nearest(key.Value, maps.Keys(s.keys)); near != "" {
		hint = "did you mean `" + near + "`?"
		w.cutPaths[join(at.path, near)] = true // what misses it would only repeat this
	} else if at.path == "" && w.supported["services.*."+key.Value] {
		hint = "it belongs into a service: services.<name>." + key.Value
	} else if at.path == "" && w.looksLikeService(p.value) {
		hint = "services stand below services:, indented"
	}
	w.report(key, key, path, "unknown key "+path, hint)
}

// looksLikeService says whether a mapping has what only a service has.
func (w *walker) looksLikeService(n *yaml.Node) bool {
	if n = deref(n); n.Kind != yaml.MappingNode {
		return false
	}
	return slices.ContainsFunc(w.pairs(w.f, n, ""), func(p pair) bool {
		return p.key.Value == "image" || p.key.Value == "build" || p.key.Value == "command"
	})
}

// knownKeys lists the keys that may stand in a mapping and that we support.
func (w *walker) knownKeys(s *shape, at spot) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.keys)), func(name string) bool {
		return w.isChecked(at) && !w.supported[at.key(name).pattern]
	})
}

// nameOf names a mapping in a sentence.
func nameOf(path string) string {
	if path == "" {
		return "the top level"
	}
	return path
}

// quietText is a scalar with its variables filled in.
func (w *walker) quietText(n *yaml.Node) (string, error) {
	return w.substitute(n.Value, w.f.env)
}

// indexItem records what a list entry says: its text, or the texts in it.
func (w *walker) indexItem(list string, entry *yaml.Node) {
	target := deref(entry)
	add := func(n *yaml.Node) {
		if value := deref(n); value.Kind == yaml.ScalarNode {
			text, _ := w.quietText(value)
			w.index.addItem(list, text, w.f.place(n))
		}
	}
	if target.Kind == yaml.MappingNode {
		for _, p := range w.pairs(w.f, target, list) {
			add(p.value)
		}
	}
	add(entry)
}
