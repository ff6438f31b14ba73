package load

import (
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
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

// parseCache reads one entry of cache_from and cache_to: attributes as
// type=local,src=./cache, or the name of an image in a registry.
func parseCache(text string) (model.BuildCache, error) {
	if !strings.Contains(text, "=") {
		return model.BuildCache{Type: "registry", Attributes: map[string]string{"ref": text}}, nil
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	out := model.BuildCache{Attributes: map[string]string{}}
	for _, field := range fields {
		name, value, given := strings.Cut(field, "=")
		switch {
		case !given || name == "" || value == "":
			err = fmt.Errorf("%q is no attribute", field)
		case name == "type":
			out.Type = value
		default:
			out.Attributes[name] = value
		}
	}
	return out, err
}

// checkCache checks an entry; folder is the attribute that names that of a local
// cache.
func checkCache(folder string) valueCheck {
	const forms = "write type=registry,ref=NAME, type=local,%s=FOLDER or type=inline"
	right := fmt.Sprintf(forms, folder)
	return func(text string) (string, string) {
		cache, err := parseCache(text)
		switch {
		case err != nil || cache.Type == "" || folder == "src" && cache.Type == "inline":
			return fmt.Sprintf("%q is no build cache", text), right
		case cache.Type == "local" && cache.Attributes[folder] == "", cache.Type == "registry" && cache.Attributes["ref"] == "":
			return fmt.Sprintf("%q does not say where", text), right
		case cache.Type == "registry":
			return checkImage(cache.Attributes["ref"])
		case cache.Type != "local" && cache.Type != "inline":
			return notYet, right
		}
		return "", ""
	}
}

// buildCaches are checked entries; folders of local ones become absolute.
func buildCaches(list []string, dir string) []model.BuildCache {
	var out []model.BuildCache
	for _, text := range list {
		cache, _ := parseCache(text)
		for _, folder := range []string{"src", "dest"} {
			if path, ok := cache.Attributes[folder]; ok && cache.Type == "local" && !filepath.IsAbs(path) {
				cache.Attributes[folder] = filepath.Join(dir, path)
			}
		}
		out = append(out, cache)
	}
	return out
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
			continue // there is no agent: the build tells, if one is needed
		}
		if _, err := os.Stat(at); err != nil {
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
