package load

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// relate checks what only the merged project shows: names that must exist,
// settings that exclude each other, cycles and clashes.
func (l *projectLoader) relate(p *types.Project) {
	all := p.AllServices()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		l.references(p, all, s)
		if _, enabled := p.Services[name]; enabled {
			l.consistent(s)
			l.buildFiles(s)
			if s.Build != nil {
				l.buildRelations(p, all, s)
			}
			l.dependsOnEnabled(p, s)
			l.dependsOnHealth(p, s)
		}
	}
	l.cycles(all)
	l.clashes(p)
	l.objects(p)
	l.networks(p)
	l.longNames(p)
	l.hints(p)
}

// mistake reports at a key path, unless something there was reported before and
// this only follows.
func (l *projectLoader) mistake(path, message, hint string) {
	l.mistakeAt(l.index.At(path), path, message, hint)
}

func (l *projectLoader) mistakeAt(at Position, path, message, hint string) {
	if l.cutWithin(path) {
		return
	}
	l.problems.add(at, path, message, hint)
}

// cutWithin says whether the path, or what holds it, was cut away.
func (l *projectLoader) cutWithin(path string) bool {
	for cut := range l.cutPaths {
		if cut == "" || path == cut || below(path, cut) {
			return true
		}
	}
	return false
}

// cutBelow says whether something in the path was cut away.
func (l *projectLoader) cutBelow(path string) bool {
	for cut := range l.cutPaths {
		if below(cut, path) {
			return true
		}
	}
	return false
}

// below says whether a key path lies in another.
func below(path, parent string) bool {
	rest, ok := strings.CutPrefix(path, parent)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// reference finds the place where a service names something: a key of a
// mapping, or an entry of a list.
func (l *projectLoader) reference(path, name string) Position {
	if at, ok := l.index.find(join(path, name), 0); ok {
		return at
	}
	return l.index.item(path, func(text string) bool {
		return text == name || strings.HasPrefix(text, name+":")
	})
}

// undefined reports a name that the section does not have.
func (l *projectLoader) undefined(service, path, kind, section, name string, known iter.Seq[string]) {
	if l.cutWithin(join(section, name)) || l.cutPaths[section] {
		return
	}
	message := fmt.Sprintf("service %s refers to undefined %s %s", service, kind, name)
	if section == "services" {
		message = fmt.Sprintf("service %s depends on undefined service %s", service, name)
	}
	hint := suggestName(name, known)
	if hint == "" {
		hint = "define it under " + section + ":"
	}
	l.problems.add(l.reference(path, name), path, message, hint)
}

// suggestName helps with a name that is not defined.
func suggestName(name string, known iter.Seq[string]) string {
	if near := nearest(name, known); near != "" {
		return "did you mean `" + near + "`?"
	}
	names := slices.Sorted(known)
	if len(names) == 0 || len(names) > 12 {
		return ""
	}
	return "defined are " + strings.Join(names, ", ")
}

// references checks every name that a service uses.
func (l *projectLoader) references(p *types.Project, all types.Services, s types.ServiceConfig) {
	path := "services." + s.Name
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		if _, ok := p.Networks[name]; !ok && name != "default" {
			l.undefined(s.Name, path+".networks", "network", "networks", name, l.declaredNetworks(p))
		}
	}
	for _, v := range s.Volumes {
		if _, ok := p.Volumes[v.Source]; !ok && v.Type == types.VolumeTypeVolume && v.Source != "" {
			l.undefined(s.Name, path+".volumes", "volume", "volumes", v.Source, maps.Keys(p.Volumes))
		}
	}
	for _, c := range s.Configs {
		if _, ok := p.Configs[c.Source]; !ok {
			l.undefined(s.Name, path+".configs", "config", "configs", c.Source, maps.Keys(p.Configs))
		}
	}
	for _, c := range s.Secrets {
		if _, ok := p.Secrets[c.Source]; !ok {
			l.undefined(s.Name, path+".secrets", "secret", "secrets", c.Source, maps.Keys(p.Secrets))
		}
	}
	if s.Build != nil {
		for _, c := range s.Build.Secrets {
			if _, ok := p.Secrets[c.Source]; !ok {
				l.undefined(s.Name, path+".build.secrets", "build secret", "secrets", c.Source, maps.Keys(p.Secrets))
			}
		}
	}
	others := func(yield func(string) bool) {
		for name := range all {
			if name != s.Name && !yield(name) {
				return
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		if _, ok := all[name]; ok {
			continue
		}
		l.undefined(s.Name, path+"."+dependsBy(s, name), "service", "services", name, others)
	}
}

// dependsBy is the key by which a service depends on another.
func dependsBy(s types.ServiceConfig, other string) string {
	switch {
	case takesVolumesFrom(s, other):
		return "volumes_from"
	case slices.ContainsFunc(s.Links, func(text string) bool { to, _ := cutLink(text); return to == other }):
		return "links"
	}
	return cmp.Or(sharesBy(s, other), "depends_on")
}

// sharesBy is the key by which a service is in a namespace of another, or "".
func sharesBy(s types.ServiceConfig, other string) string {
	switch types.ServicePrefix + other {
	case s.NetworkMode:
		return "network_mode"
	case s.Pid:
		return "pid"
	}
	return ""
}

// declaredNetworks leaves out the default network that compose adds.
func (l *projectLoader) declaredNetworks(p *types.Project) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range p.Networks {
			if _, ok := l.index.find("networks."+name, 0); ok && !yield(name) {
				return
			}
		}
	}
}

// dependsOnEnabled checks that what an enabled service needs is enabled too.
func (l *projectLoader) dependsOnEnabled(p *types.Project, s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		other, disabled := p.DisabledServices[name]
		if !disabled || !s.DependsOn[name].Required {
			continue
		}
		by, hint := dependsBy(s, name), "use --profile "+other.Profiles[0]
		if by == "depends_on" {
			hint += ", or required: false"
		}
		path := "services." + s.Name + "." + by
		l.problems.add(l.reference(path, name), path,
			fmt.Sprintf("service %s depends on service %s, which no active profile enables", s.Name, name), hint)
	}
}

// dependsOnHealth checks that what a service waits for can become healthy. A
// healthcheck that the file does not have may be the image's.
func (l *projectLoader) dependsOnHealth(p *types.Project, s types.ServiceConfig) {
	for _, name := range slices.Sorted(maps.Keys(s.DependsOn)) {
		check := p.Services[name].HealthCheck
		if s.DependsOn[name].Condition != types.ServiceConditionHealthy || check == nil {
			continue
		}
		if check.Disable || len(check.Test) > 0 && check.Test[0] == "NONE" {
			path := "services." + s.Name + ".depends_on"
			l.mistakeAt(l.reference(path, name), path, fmt.Sprintf("service %s waits for %s to be healthy, and its healthcheck is switched off", s.Name, name),
				"use condition: service_started")
		}
	}
}

// cycles reports each circle of dependencies once, by its path.
func (l *projectLoader) cycles(all types.Services) {
	const open, done = 1, 2
	state := map[string]int{}
	var way []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = open
		way = append(way, name)
		for _, next := range slices.Sorted(maps.Keys(all[name].DependsOn)) {
			if _, ok := all[next]; !ok {
				continue
			}
			switch state[next] {
			case open:
				circle := append(slices.Clone(way[slices.Index(way, next):]), next)
				path := "services." + name + ".depends_on"
				at := l.reference(path, next)
				if key := sharesBy(all[name], next); key != "" {
					at = l.index.At("services." + name + "." + key)
				}
				if takesVolumesFrom(all[name], next) {
					at = l.reference("services."+name+".volumes_from", next)
				}
				l.problems.add(at, path, "dependency cycle detected: "+strings.Join(circle, " -> "), "take one of these dependencies away")
			case 0:
				visit(next)
			}
		}
		way = way[:len(way)-1]
		state[name] = done
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if state[name] == 0 {
			visit(name)
		}
	}
}
