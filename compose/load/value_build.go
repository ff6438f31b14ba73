package load

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// checkPlatform lets this machine's platform pass: steps of another one would
// need an emulator.
func checkPlatform(text string) (wrong, right string) {
	ours := "linux/" + runtime.GOARCH
	os, architecture, ok := strings.Cut(text, "/")
	architecture, _, _ = strings.Cut(architecture, "/") // a variant
	switch {
	case !ok || os == "" || architecture == "":
		return fmt.Sprintf("%q is no platform", text), "write " + ours
	case os != "linux" || architecture != runtime.GOARCH:
		return notYet, "this machine is " + ours
	}
	return "", ""
}

// checkNamedContext checks the source of an additional context.
func checkNamedContext(text string) (wrong, right string) {
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return "the source is empty", "name a folder, docker-image://NAME, https://… or service:NAME"
	case !ok || (scheme == "docker-image" || scheme == "https" || scheme == "http") && rest != "" && !strings.HasSuffix(rest, ".git"):
		return "", ""
	}
	return notYet, "name a folder, docker-image://NAME, https://… or service:NAME"
}

func checkNamedContextEntry(text string) (wrong, right string) {
	name, source, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Sprintf("%q is no named context", text), "write NAME=SOURCE"
	}
	return checkNamedContext(source)
}

// buildRelations checks what a build names elsewhere: its network, the
// services behind its contexts, its target in the Dockerfile.
func (l *projectLoader) buildRelations(p *types.Project, all types.Services, s types.ServiceConfig) {
	path := "services." + s.Name + ".build"
	switch n := s.Build.Network; n {
	case "", "default", "host", "none":
	default:
		if _, ok := p.Networks[n]; !ok {
			l.undefined(s.Name, path+".network", "network", "networks", n, l.declaredNetworks(p))
		}
	}
	for _, name := range sortedKeys(s.Build.AdditionalContexts) {
		source := s.Build.AdditionalContexts[name]
		other, ok := strings.CutPrefix(source, types.ServicePrefix)
		switch _, known := all[other]; {
		case !ok:
			l.contextFolder(s.Name, path+".additional_contexts."+name, name, source)
		case other == s.Name:
			l.mistake(path+".additional_contexts", fmt.Sprintf("build of service %s uses its own image as context %s", s.Name, name), "name another service")
		case !known:
			l.undefined(s.Name, path+".additional_contexts", "service", "services", other, maps.Keys(all))
		}
	}
	for _, key := range s.Build.SSH {
		at := sshPath(p, key)
		if at == "" {
			l.mistake(path+".ssh", "there is no SSH agent: SSH_AUTH_SOCK is not set", "start one, or write "+key.ID+"=PATH of a key")
		} else if _, err := os.Stat(at); err != nil {
			l.mistake(path+".ssh", "SSH agent or key does not exist: "+l.shown(at), "name the agent's socket or a key's file")
		}
	}
	l.buildTarget(s, path)
}

func (l *projectLoader) contextFolder(service, path, name, source string) {
	if strings.Contains(source, "://") {
		return
	}
	if info, err := os.Stat(source); err != nil || !info.IsDir() {
		l.mistake(path, fmt.Sprintf("additional context %s of service %s is no folder: %s", name, service, l.shown(source)), "name an existing folder")
	}
}

var fromLine = pattern(`(?im)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*\S+(?:[ \t]+AS[ \t]+(\S+))?[ \t]*\r?$`)

// buildTarget checks that the Dockerfile has the stage that target names, by
// name or number. It sees FROM lines only; whatever else is wrong in the
// Dockerfile is the build's to tell.
func (l *projectLoader) buildTarget(s types.ServiceConfig, path string) {
	if s.Build.Target == "" || strings.Contains(s.Build.Target, "$") {
		return
	}
	text := s.Build.DockerfileInline
	if text == "" {
		raw, err := os.ReadFile(dockerfile(s.Build))
		if err != nil {
			return // told already
		}
		text = string(raw)
	}
	var stages []string
	from := fromLine().FindAllStringSubmatch(text, -1)
	for _, m := range from {
		if m[1] != "" {
			stages = append(stages, m[1])
		}
		if strings.EqualFold(m[1], s.Build.Target) {
			return
		}
	}
	if n, err := strconv.Atoi(s.Build.Target); err == nil && n >= 0 && n < len(from) {
		return
	}
	hint := "its stages have no names: write FROM … AS " + s.Build.Target
	if len(stages) > 0 {
		hint = "its stages are " + strings.Join(stages, ", ")
	}
	l.mistake(path+".target", fmt.Sprintf("Dockerfile of service %s has no stage %s", s.Name, s.Build.Target), hint)
}
