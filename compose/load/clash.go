package load

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// clashes reports what two services cannot both have.
func (l *projectLoader) clashes(p *types.Project) {
	names := map[string]string{}
	generated := generatedNames(p)
	ports := map[hostPort][]publisher{}
	for _, name := range sortedKeys(p.Services) {
		s := p.Services[name]
		if s.ContainerName != "" {
			if other, ok := names[s.ContainerName]; ok {
				path := "services." + name + ".container_name"
				l.mistake(path, fmt.Sprintf("services %s and %s have one container_name: %s", other, name, s.ContainerName), "give each its own name")
			}
			if other, ok := generated[s.ContainerName]; ok {
				path := "services." + name + ".container_name"
				l.mistake(path, fmt.Sprintf("service %s has the container_name %s, which is that of service %s's own", name, s.ContainerName, other), "choose another name")
			}
			names[s.ContainerName] = name
		}
		if s.NetworkMode == "host" || s.NetworkMode == "none" {
			continue // where no port can be published, as consistent says
		}
		for _, port := range s.Ports {
			l.publish(ports, s.Name, port)
		}
	}
}

// generatedNames are the names that replicas without a container_name have, with
// their services.
func generatedNames(p *types.Project) map[string]string {
	names := map[string]string{}
	for _, s := range p.Services {
		for n := 1; n <= s.GetScale() && s.ContainerName == "" && n < 1000; n++ {
			names[fmt.Sprintf("%s-%s-%d", p.Name, s.Name, n)] = s.Name
		}
	}
	return names
}

// hostPort is a fixed port of the host, publisher who has it on which address.
type hostPort struct {
	port     uint16
	protocol string
}

type publisher struct{ service, address string }

// publish adds a port and reports one that is taken.
func (l *projectLoader) publish(ports map[hostPort][]publisher, service string, port types.ServicePortConfig) {
	first, last, ok := parsePublished(port.Published)
	if !ok || first == 0 || first != last {
		return
	}
	key := hostPort{first, port.Protocol}
	for _, other := range ports[key] {
		if !sameAddress(other.address, port.HostIP) {
			continue
		}
		text := fmt.Sprintf("services %s and %s publish one host port: %d/%s", other.service, service, first, port.Protocol)
		if other.service == service {
			text = fmt.Sprintf("service %s publishes host port %d/%s twice", service, first, port.Protocol)
		}
		path := "services." + service + ".ports"
		at := l.index.lastItem(path, func(text string) bool { return publishes(text, first, port.Protocol) })
		l.mistakeAt(at, path, text, "change one of them")
		return
	}
	ports[key] = append(ports[key], publisher{service, port.HostIP})
}

// sameAddress says whether two host addresses cannot both have one port. None
// is all of both families.
func sameAddress(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	switch {
	case errX != nil || errY != nil:
		return true
	case x.Unmap().Is4() != y.Unmap().Is4():
		return false
	}
	return x.Unmap() == y.Unmap() || x.IsUnspecified() || y.IsUnspecified()
}

// publishes says whether the text of a ports entry, or of one value of its long
// form, gives this host port.
func publishes(text string, port uint16, protocol string) bool {
	text, suffix, given := strings.Cut(text, "/")
	short := given || strings.Contains(text, ":")
	if short && suffix != protocol && (given || protocol != "tcp") {
		return false
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		text = text[:i] // without the container's side
		text = text[strings.LastIndexByte(text, ':')+1:]
	}
	first, last, ok := parsePublished(text)
	return ok && first <= port && port <= last
}

// objects checks the configs and secrets that are declared.
func (l *projectLoader) objects(p *types.Project) {
	for _, key := range sortedKeys(p.Configs) {
		l.object("configs", "config", key, types.FileObjectConfig(p.Configs[key]), l.used(p, "configs", key))
	}
	for _, key := range sortedKeys(p.Secrets) {
		l.object("secrets", "secret", key, types.FileObjectConfig(p.Secrets[key]), l.used(p, "secrets", key))
	}
}

func (l *projectLoader) object(section, kind, key string, o types.FileObjectConfig, used bool) {
	path := section + "." + key
	if l.cutBelow(path) {
		return
	}
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
			l.mistake(path+".file", fmt.Sprintf("file of %s %s %s: %s", kind, key, missing(o.File), l.shown(o.File)), "name an existing file")
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
		if section == "volumes" && slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Source == key
		}) {
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
