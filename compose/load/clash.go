package load

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// clashes reports what two services cannot both have.
func (l *projectLoader) clashes(p *types.Project) {
	names := map[string]string{}
	var ports []published
	for _, name := range sortedKeys(p.Services) {
		s := p.Services[name]
		if s.ContainerName != "" {
			if other, ok := names[s.ContainerName]; ok {
				path := "services." + name + ".container_name"
				l.mistake(path, fmt.Sprintf("services %s and %s have one container_name: %s", other, name, s.ContainerName), "give each its own name")
			}
			names[s.ContainerName] = name
		}
		for _, port := range s.Ports {
			ports = l.publish(ports, s, port)
		}
	}
}

// published is a fixed host port.
type published struct {
	service, host, protocol string
	port                    uint16
}

// publish adds a port and reports one that another service has.
func (l *projectLoader) publish(ports []published, s types.ServiceConfig, port types.ServicePortConfig) []published {
	first, last, ok := parsePublished(port.Published)
	if !ok || first == 0 || first != last {
		return ports
	}
	path := "services." + s.Name + ".ports"
	at := l.index.item(path, func(text string) bool { return publishes(text, first) })
	mine := published{s.Name, port.HostIP, port.Protocol, first}
	for _, other := range ports {
		if other.port == mine.port && other.protocol == mine.protocol && sameAddress(other.host, mine.host) {
			text := fmt.Sprintf("services %s and %s publish one host port: %d/%s", other.service, s.Name, first, port.Protocol)
			if other.service == s.Name {
				text = fmt.Sprintf("service %s publishes host port %d/%s twice", s.Name, first, port.Protocol)
			}
			l.mistakeAt(at, path, text, "change one of them")
			return ports
		}
	}
	return append(ports, mine)
}

// sameAddress says whether two host addresses cannot both have one port.
func sameAddress(a, b string) bool {
	every := func(s string) bool { return s == "" || s == "0.0.0.0" || s == "::" }
	return a == b || every(a) || every(b)
}

// publishes says whether the text of a ports entry gives this host port.
func publishes(text string, port uint16) bool {
	if text == fmt.Sprint(port) {
		return true
	}
	configs, err := types.ParsePortConfig(text)
	return err == nil && slices.ContainsFunc(configs, func(c types.ServicePortConfig) bool {
		return c.Published == fmt.Sprint(port)
	})
}

// objects checks the configs and secrets that are declared.
func (l *projectLoader) objects(p *types.Project) {
	for _, key := range sortedKeys(p.Configs) {
		l.object(p, "configs", "config", key, types.FileObjectConfig(p.Configs[key]), l.used(p, "configs", key))
	}
	for _, key := range sortedKeys(p.Secrets) {
		l.object(p, "secrets", "secret", key, types.FileObjectConfig(p.Secrets[key]), l.used(p, "secrets", key))
	}
}

func (l *projectLoader) object(_ *types.Project, section, kind, key string, o types.FileObjectConfig, used bool) {
	path := section + "." + key
	var sources []string
	for name, given := range map[string]bool{"file": o.File != "", "environment": o.Environment != "",
		"content": section == "configs" && o.Content != "" && o.Environment == ""} {
		if given {
			sources = append(sources, name)
		}
	}
	slices.Sort(sources)
	forms := "file, environment or content"
	if section == "secrets" {
		forms = "file or environment"
	}
	switch {
	case len(sources) > 1:
		l.mistake(path, fmt.Sprintf("%s %s has %s", kind, key, strings.Join(sources, " and ")), "keep one of them")
	case len(sources) == 0:
		if _, ok := l.index.find(path+".content", 0); !ok {
			l.mistake(path, fmt.Sprintf("%s %s has no content", kind, key), "add "+forms)
		}
	case !used:
	case o.File != "":
		if info, err := os.Stat(o.File); err != nil || info.IsDir() {
			l.inputs.exists(o.File)
			l.mistake(path+".file", fmt.Sprintf("file of %s %s does not exist: %s", kind, key, l.shown(o.File)), "name an existing file")
		}
	case o.Environment != "":
		if _, ok := l.env[o.Environment]; !ok {
			l.mistake(path+".environment", fmt.Sprintf("variable %s of %s %s is not set", o.Environment, kind, key), "set it in the environment or in .env")
		}
	}
}

// used says whether an enabled service has the config or secret.
func (l *projectLoader) used(p *types.Project, section, key string) bool {
	for _, s := range p.Services {
		if section == "configs" && slices.ContainsFunc(s.Configs, func(c types.ServiceConfigObjConfig) bool { return c.Source == key }) {
			return true
		}
		is := func(c types.ServiceSecretConfig) bool { return c.Source == key }
		if section == "secrets" && (slices.ContainsFunc(s.Secrets, is) || s.Build != nil && slices.ContainsFunc(s.Build.Secrets, is)) {
			return true
		}
	}
	return false
}

// cutVolume takes the short form of a volume apart.
func cutVolume(text string) (source, target string, ok bool) {
	v, err := format.ParseVolume(text)
	return v.Source, v.Target, err == nil
}

func sortedKeys[M ~map[string]V, V any](m M) []string { return slices.Sorted(maps.Keys(m)) }
