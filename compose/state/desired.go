package state

import (
	"slices"
	"strconv"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

// Mode says how much of a service an operation is about.
type Mode string

const (
	// Selected: the user named the service, or named none.
	Selected Mode = "selected"
	// Needed: a selected service depends on it.
	Needed Mode = "needed"
	// Other: not part of the operation; it is touched only if it must follow
	// (it shares the network namespace of a recreated service, or the like).
	Other Mode = "other"
)

// Active reports whether the operation brings the service up.
func (m Mode) Active() bool { return m == Selected || m == Needed }

// Desired is what a project wants.
type Desired struct {
	Project string
	// Dir is the folder of its file.
	Dir string
	// Services are sorted by name; those of inactive profiles are not here.
	Services []Service
	// Networks and Volumes are those that any service uses, sorted by name.
	Networks []Network
	Volumes  []Volume
	// Known are the names of all services of the file, inactive profiles
	// included: a container of another service is an orphan.
	Known map[string]bool
	// OneOff is the container of a run command, or nil.
	OneOff *OneOff
}

// Service is one wanted service.
type Service struct {
	Name  string
	Mode  Mode
	Scale int
	Image Image
	// Depends are the dependencies that count for this operation.
	Depends []model.Dependency
	// VolumeOwners are the services of the project whose mounts this one gets.
	VolumeOwners []string
	// NamespaceOwners are the services of the project whose namespaces this one is in.
	NamespaceOwners []string
	// Networks and Volumes are names in the engine, sorted.
	Networks []string
	Volumes  []string
	// Hash is the identity of its containers, 64 hex digits.
	Hash string

	project       string
	containerName string
	template      spec.Blueprint
}

// Image says which image a service runs and how to get it.
type Image struct {
	Reference string
	// Policy is "", always, never, missing, build or refresh.
	Policy string
	// Refresh is, for the policy refresh, the age from which the registry is
	// asked again.
	Refresh time.Duration
	// Build is nil for an image that is only pulled. Its Registries are empty:
	// apply fills them in.
	Build *spec.Build
	// BuiltOn names the services whose images the build takes as contexts.
	BuiltOn []string
	// Named: the file names the image (it has a tag of the user's own).
	Named bool
}

// Network is one wanted network.
type Network struct {
	Key      string
	External bool
	// Shared networks belong to no project: made if missing, left by down.
	Shared bool
	Spec   spec.Network
	Hash   string
	// Where is the place of an external one in the compose file.
	Where string
	// Users are the names of the services on it, sorted.
	Users []string
}

// Volume is one wanted volume.
type Volume struct {
	Key      string
	External bool
	Spec     spec.Volume
	Hash     string
	// Where is the place of an external one in the compose file.
	Where string
	Users []string
}

// OneOff is the wanted container of a run command.
type OneOff struct {
	Service   string
	Blueprint spec.Blueprint
	// Start: it is started too; otherwise a client attaches first and starts
	// it then.
	Start bool
}

// Service returns the wanted service of that name, or nil.
func (d *Desired) Service(name string) *Service {
	i, ok := slices.BinarySearchFunc(d.Services, name, func(s Service, name string) int {
		switch {
		case s.Name < name:
			return -1
		case s.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &d.Services[i]
}

// ContainerName is the name of replica n: project-service-n, or what
// container_name says.
func (s *Service) ContainerName(n int) string {
	if s.containerName != "" {
		return s.containerName
	}
	return s.project + "-" + s.Name + "-" + strconv.Itoa(n)
}

// Replica returns the blueprint of replica n, without ID and image digest. The
// network mode of a service that shares another's namespace is
// "service:<name>"; plan puts the container in its place.
func (s *Service) Replica(n int) spec.Blueprint {
	b := s.template
	b.Name = s.ContainerName(n)
	b.Labels = withLabels(b.Labels, map[string]string{LabelNumber: strconv.Itoa(n)})
	key := s.project + "-" + s.Name + "-" + strconv.Itoa(n)
	b.Networks = slices.Clone(b.Networks)
	for i := range b.Networks {
		at := &b.Networks[i]
		at.LeaseKey = key
		at.Aliases = appendNew(slices.Clone(at.Aliases), b.Name)
	}
	b.Log.Replica = s.Name + "-" + strconv.Itoa(n)
	return b
}

// NoSuchServiceError is the answer to a service argument that the project does
// not know.
type NoSuchServiceError struct{ Name string }

// Error reads as docker compose's.
func (e *NoSuchServiceError) Error() string { return "no such service: " + e.Name }

func appendNew(list []string, names ...string) []string {
	for _, name := range names {
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}
