package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
)

// The actions of develop.watch.
const (
	Sync        = "sync"
	SyncRestart = "sync+restart"
	SyncExec    = "sync+exec"
	Exec        = "exec"
	Restart     = "restart"
	Rebuild     = "rebuild"
)

// Rule is one rule of develop.watch, ready to decide over paths.
type Rule struct {
	model.WatchRule
	Service string
	Index   int // in the file, from 0

	file    bool // Path is no folder
	ignores []*Matcher
	include *Matcher
	hidden  []string // targets in the container that are the host's already
	fresh   bool     // the ledger does not know it yet
}

// Name says which rule it is, as errors name places in the file.
func (r *Rule) Name() string { return fmt.Sprintf("services.%s.develop.watch[%d]", r.Service, r.Index) }

// key names all that the rule decides by.
func (r *Rule) key() string { return fmt.Sprintf("%s %+v", r.Service, r.WatchRule) }

// Syncs reports whether the rule puts files into containers.
func (r *Rule) Syncs() bool {
	return r.Action == Sync || r.Action == SyncRestart || r.Action == SyncExec
}

// Then is what follows a change beside syncing; "" is nothing.
func (r *Rule) Then() string {
	switch r.Action {
	case SyncRestart, Restart:
		return Restart
	case SyncExec, Exec:
		return Exec
	case Rebuild:
		return Rebuild
	}
	return ""
}

// Rules are those of the chosen services of a project (none is all), sorted by
// service. warnings are sentences about rules that cannot do anything.
func Rules(p *model.Project, services []string) (rules []*Rule, warnings []string, err error) {
	for _, name := range p.ServiceNames() {
		if len(services) > 0 && !slices.Contains(services, name) {
			continue
		}
		service := p.Services[name]
		for i, written := range service.Watch {
			rule, warning, err := newRule(service, i, written)
			if err != nil {
				return nil, nil, fmt.Errorf("cannot watch: services.%s.develop.watch[%d]: %w", name, i, err)
			}
			if warning != "" {
				warnings = append(warnings, warning)
				continue
			}
			rules = append(rules, rule)
		}
	}
	return rules, warnings, nil
}

func newRule(s model.Service, index int, written model.WatchRule) (rule *Rule, warning string, err error) {
	rule = &Rule{WatchRule: written, Service: s.Name, Index: index}
	rule.Path = filepath.Clean(rule.Path)
	base := rule.Path
	if info, err := os.Stat(rule.Path); err == nil && !info.IsDir() {
		rule.file, base = true, filepath.Dir(rule.Path)
	}
	for _, m := range s.Mounts {
		if m.Type != "bind" || !rule.Syncs() {
			continue
		}
		if under(rule.Path, m.Source) && under(rule.Target, m.Target) {
			return nil, fmt.Sprintf("path %q of %s is in the container already, by the bind mount of %s; the rule does nothing",
				rule.Path, rule.Name(), m.Source), nil
		}
		rule.hidden = append(rule.hidden, m.Target)
	}
	built, err := temporaries(base)
	if err != nil {
		return nil, "", err
	}
	rule.ignores = append(rule.ignores, built)
	if s.Build != nil {
		ignored, err := ReadIgnoreFile(s.Build.Context, s.Build.Dockerfile)
		if err != nil {
			return nil, "", err
		}
		if ignored != nil {
			rule.ignores = append(rule.ignores, ignored)
		}
	}
	if len(rule.Ignore) > 0 {
		own, err := NewMatcher(base, rule.Ignore, func(i int) string { return fmt.Sprintf("%s.ignore[%d]", rule.Name(), i) })
		if err != nil {
			return nil, "", err
		}
		rule.ignores = append(rule.ignores, own)
	}
	if len(rule.Include) > 0 {
		rule.include, err = NewMatcher(base, rule.Include, func(i int) string { return fmt.Sprintf("%s.include[%d]", rule.Name(), i) })
	}
	return rule, "", err
}

// Root is the folder that has to be watched for the rule.
func (r *Rule) Root() string {
	if r.file {
		return filepath.Dir(r.Path)
	}
	return r.Path
}

// Wants reports whether a change of the absolute path concerns the rule.
func (r *Rule) Wants(path string, folder bool) bool {
	wants, _ := r.verdict(path, folder, false)
	return wants
}

// verdict decides; it names the deciding pattern only if it is asked to, since
// that takes its time.
func (r *Rule) verdict(path string, folder, explain bool) (bool, Reason) {
	say := func(text string, m *Matcher) Reason {
		if !explain || m == nil {
			return Reason{Text: text}
		}
		decider, origin := m.Decider(path)
		return Reason{text, decider, origin}
	}
	switch {
	case r.file && path != r.Path, !under(path, r.Path):
		return false, say("it lies outside of "+r.Path, nil)
	case folder && !r.Syncs():
		return false, say("a folder itself is nothing to "+r.Action, nil)
	}
	var kept *Matcher
	for _, m := range r.ignores {
		if m.Match(path) {
			return false, say("it is ignored", m)
		}
		if explain && kept == nil && m.keeps(path) {
			kept = m
		}
	}
	if r.include != nil && path != r.Path && !r.include.Match(path) {
		return false, say("no pattern of include matches it", r.include)
	}
	if r.hides(path) {
		return false, say("its target lies in a bind mount", nil)
	}
	if r.include != nil {
		return true, say("it is included", r.include)
	}
	if kept != nil {
		return true, say("it lies in "+r.Path+" and is kept", kept)
	}
	return true, say("it lies in "+r.Path, nil)
}

// hides reports whether what the rule would put lies on this host already.
func (r *Rule) hides(path string) bool {
	for _, hidden := range r.hidden {
		if under(r.TargetOf(path), hidden) {
			return true
		}
	}
	return false
}

// Descends reports whether anything below the folder may concern the rule.
func (r *Rule) Descends(dir string) bool {
	if r.file {
		return dir == r.Root()
	}
	if !under(dir, r.Path) {
		return false
	}
	for _, m := range r.ignores {
		if m.Prunes(dir) {
			return false
		}
	}
	return true
}

// TargetOf is where a path of this host belongs in the container.
func (r *Rule) TargetOf(path string) string {
	rel, err := filepath.Rel(r.Path, path)
	if err != nil {
		return ""
	}
	if r.file && strings.HasSuffix(r.Target, "/") {
		rel = filepath.Base(path)
	}
	return inContainer(r.Target, rel)
}

// Reason says why a rule concerns itself with a path or not.
type Reason struct {
	Text string `json:"text"`
	// Pattern decided, Origin is where it stands: a file, or a key.
	Pattern string `json:"pattern,omitempty"`
	Origin  string `json:"origin,omitempty"`
}
