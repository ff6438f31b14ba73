package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Format is the number of the JSON form, on the socket and in the store. It
// grows when an older reader would misread what a newer one writes.
const Format = 1

// Project is one resolved compose project.
type Project struct {
	// Format is the package's Format at the time of writing.
	Format int `json:"format"`
	// Name is lower-case letters, digits, dash and underscore; never empty.
	Name string `json:"name"`
	// WorkingDir is the absolute folder that relative paths were resolved from.
	WorkingDir string `json:"working_dir"`
	// ComposeFiles are the absolute paths of the files given or found, in the
	// order of merging; "-" is standard input. Included files are not listed.
	ComposeFiles []string `json:"compose_files,omitempty"`
	// Profiles are the active profiles, sorted.
	Profiles []string `json:"profiles,omitempty"`

	// Services are the enabled services by name.
	Services map[string]Service `json:"services"`
	// Disabled are the services that no active profile enables. They are not
	// started, and their containers are no orphans.
	Disabled map[string]Service `json:"disabled,omitempty"`

	// Networks, Volumes, Configs and Secrets are what the file declares, by key,
	// used or not; the network "default" is there if a service uses it.
	Networks map[string]Network `json:"networks,omitempty"`
	Volumes  map[string]Volume  `json:"volumes,omitempty"`
	Configs  map[string]Object  `json:"configs,omitempty"`
	Secrets  map[string]Object  `json:"secrets,omitempty"`

	// Extensions are the top-level x- keys.
	Extensions map[string]json.RawMessage `json:"extensions,omitempty"`
}

// Network is one entry of the top-level networks.
type Network struct {
	// Key is the name inside the file, Name the one that the engine knows:
	// <project>_<key> unless the file says otherwise.
	Key  string `json:"key"`
	Name string `json:"name"`
	// External networks exist already and are neither made nor removed.
	External bool `json:"external,omitempty"`
	// Internal networks have no way out of the host.
	Internal bool `json:"internal,omitempty"`
	// Attachable only documents: containers may join any network of ours.
	Attachable bool `json:"attachable,omitempty"`
	// EnableIPv6 adds an IPv6 subnet, DisableIPv4 (enable_ipv4: false) takes
	// away that of IPv4.
	EnableIPv6  bool `json:"enable_ipv6,omitempty"`
	DisableIPv4 bool `json:"disable_ipv4,omitempty"`
	// Driver is bridge, macvlan or ipvlan.
	Driver string `json:"driver"`
	// Options are those of the driver.
	Options map[string]string `json:"options,omitempty"`
	// Subnets are the wanted address ranges; for a family without one the
	// engine chooses.
	Subnets []Subnet          `json:"subnets,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Where is the place in the compose file of an external network, for errors:
	// "compose.yaml:9:3".
	Where string `json:"where,omitempty"`
}

// Subnet is one address range of a network.
type Subnet struct {
	// Subnet is CIDR with host bits zero, e.g. 10.1.2.0/24.
	Subnet string `json:"subnet"`
	// Gateway is an address within Subnet; empty lets the engine choose.
	Gateway string `json:"gateway,omitempty"`
	// IPRange is the part of Subnet that addresses are handed out from.
	IPRange string `json:"ip_range,omitempty"`
	// Reserved are addresses that are never handed out, by name.
	Reserved map[string]string `json:"reserved,omitempty"`
}

// Volume is one entry of the top-level volumes.
type Volume struct {
	// Key is the name inside the file, Name the one that the engine knows.
	Key  string `json:"key"`
	Name string `json:"name"`
	// External volumes exist already and are neither made nor removed.
	External bool `json:"external,omitempty"`
	// Driver is "local".
	Driver string            `json:"driver"`
	Labels map[string]string `json:"labels,omitempty"`
	// Options are those of the driver: type, o and device (mount(8)).
	Options map[string]string `json:"options,omitempty"`
	// Where is the place in the compose file of an external volume, for errors:
	// "compose.yaml:9:3".
	Where string `json:"where,omitempty"`
}

// ObjectSource says where the content of a config or secret came from.
type ObjectSource string

const (
	// SourceFile is a file on the host.
	SourceFile ObjectSource = "file"
	// SourceEnvironment is an environment variable of the command.
	SourceEnvironment ObjectSource = "environment"
	// SourceContent is text in the compose file.
	SourceContent ObjectSource = "content"
)

// Object is one entry of the top-level configs or secrets. Its content travels
// beside the model, found by Digest.
type Object struct {
	Key    string       `json:"key"`
	Name   string       `json:"name"`
	Source ObjectSource `json:"source"`
	// Origin is the absolute path for SourceFile and the variable's name for
	// SourceEnvironment; empty for SourceContent.
	Origin string `json:"origin,omitempty"`
	// Digest is the SHA-256 of the content, 64 hex characters. It is empty only
	// if no enabled service uses the object and the content was not read.
	Digest string            `json:"digest,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// ServiceNames returns the names of the enabled services, sorted.
func (p *Project) ServiceNames() []string {
	return slices.Sorted(maps.Keys(p.Services))
}

// Unattached returns the names of the services whose output an attached `up`
// does not show, sorted.
func (p *Project) Unattached() []string {
	var names []string
	for _, name := range p.ServiceNames() {
		if p.Services[name].NoAttach {
			names = append(names, name)
		}
	}
	return names
}

// Service returns an enabled or disabled service by name.
func (p *Project) Service(name string) (Service, bool) {
	if s, ok := p.Services[name]; ok {
		return s, true
	}
	s, ok := p.Disabled[name]
	return s, ok
}

// WithDependencies returns the given names and all enabled services that they
// need in order to run, sorted. Unknown names are left out.
func (p *Project) WithDependencies(names ...string) []string {
	seen := map[string]bool{}
	todo := slices.Clone(names)
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		s, ok := p.Services[name]
		if !ok || seen[name] {
			continue
		}
		seen[name] = true
		for _, d := range s.DependsOn {
			todo = append(todo, d.Service)
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// ImageName returns the reference of the image that a service runs: as written,
// or <project>-<service> for one that is built and names none.
func (p *Project) ImageName(s Service) string {
	if s.Image != "" {
		return s.Image
	}
	return p.Name + "-" + s.Name
}

// ServicePrefix stands before a service where a container could be named too.
const ServicePrefix = "service:"

// NamespaceServices are the services whose namespaces s is in, each once.
func (s *Service) NamespaceServices() []string {
	var owners []string
	for _, mode := range []string{s.NetworkMode, s.PIDMode} {
		name, ok := strings.CutPrefix(mode, ServicePrefix)
		if ok && !slices.Contains(owners, name) {
			owners = append(owners, name)
		}
	}
	return owners
}

// Encode returns the JSON form. Equal projects give equal bytes.
func Encode(p *Project) ([]byte, error) {
	out := *p
	out.Format = Format
	data, err := json.Marshal(&out)
	if err != nil {
		return nil, fmt.Errorf("cannot encode project %s: %w", p.Name, err)
	}
	return data, nil
}

// Decode reads what Encode wrote, and refuses another format.
func Decode(data []byte) (*Project, error) {
	var p Project
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("cannot decode project: %w", err)
	}
	if p.Format != Format {
		return nil, fmt.Errorf("cannot decode project %s: it has format %d, this program reads %d", p.Name, p.Format, Format)
	}
	return &p, nil
}
