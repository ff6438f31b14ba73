package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	gopath "path"
	"slices"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/patternmatcher"
)

// watchActionExec runs a command without putting files. It is an addition of
// ours to the specification's actions.
const watchActionExec = "exec"

// watchRule checks one rule of develop.watch against itself and its service.
func (l *projectLoader) watchRule(s types.ServiceConfig, path string, rule types.Trigger) {
	syncs, execs, known := false, false, true
	switch string(rule.Action) {
	case string(types.WatchActionSync), string(types.WatchActionSyncRestart):
		syncs = true
	case string(types.WatchActionSyncExec):
		syncs, execs = true, true
	case watchActionExec:
		execs = true
	case string(types.WatchActionRebuild):
		if s.Build == nil && !l.cutWithin("services."+s.Name+".build") {
			l.mistake(path+".action", fmt.Sprintf("service %s has no build section, so nothing can be built anew", s.Name), "add build:, or take another action")
		}
	case string(types.WatchActionRestart):
	default: // said already
		known = false
	}
	switch {
	case syncs && rule.Target == "":
		l.mistake(path, path+" has no target", "add target:, the path inside the container")
	case syncs && !gopath.IsAbs(rule.Target):
		l.mistake(path+".target", fmt.Sprintf("%s.target %q is no absolute path", path, rule.Target), fmt.Sprintf("write %q", gopath.Join("/", rule.Target)))
	case known && !syncs && rule.Target != "":
		l.warnings.add("%s: target has no effect with action %s", path, rule.Action)
	}
	if execs && len(rule.Exec.Command) == 0 {
		l.mistake(path, path+" has no command", "add exec: with command:")
	}
	if known && !execs && len(rule.Exec.Command) > 0 {
		l.warnings.add("%s: exec has no effect with action %s", path, rule.Action)
	}
	if known && !syncs && rule.InitialSync {
		l.warnings.add("%s: initial_sync has no effect with action %s", path, rule.Action)
	}
	for key, patterns := range map[string][]string{"ignore": rule.Ignore, "include": rule.Include} {
		for i, pattern := range patterns {
			if !goodPattern(pattern) {
				l.mistake(fmt.Sprintf("%s.%s[%d]", path, key, i), fmt.Sprintf("%s.%s has the malformed pattern %q", path, key, pattern),
					"patterns are those of .dockerignore: * ? [a-z] **, and ! in front of exceptions")
			}
		}
	}
}

// goodPattern reports whether a pattern is one of .dockerignore's.
func goodPattern(text string) bool {
	text = strings.TrimSpace(text)
	m, err := patternmatcher.New([]string{strings.TrimPrefix(text, "!")})
	if err != nil || text == "!" {
		return false
	}
	_, err = m.MatchesOrParentMatches("x")
	return err == nil
}

// CheckWatch checks the paths of watch rules against this host, for the named
// services or for all: who watches nothing needs none of them.
func (r *Result) CheckWatch(services []string) error {
	var found problems
	for _, name := range r.Services() {
		if len(services) > 0 && !slices.Contains(services, name) {
			continue
		}
		for i, rule := range r.Project.Services[name].Watch {
			path := fmt.Sprintf("services.%s.develop.watch[%d].path", name, i)
			_, err := os.Stat(rule.Path)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				found.add(r.Positions.At(path), path, fmt.Sprintf("%s: %s does not exist", path, rule.Path), "make it, or name a file or folder that is there")
			} else if err != nil {
				found.add(r.Positions.At(path), path, fmt.Sprintf("%s cannot be watched: %v", path, err), "name a file or folder that this user can read")
			}
		}
	}
	return r.quote(found.err())
}
