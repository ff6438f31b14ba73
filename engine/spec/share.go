package spec

import "strings"

// ContainerPrefix stands before the container, id or name, whose namespace another
// one is in.
const ContainerPrefix = "container:"

// Namespace is one that a container can have in common with another.
type Namespace struct {
	// Key is the compose file's, Noun what it is called in messages.
	Key, Noun string
	// Mode is the blueprint's word for it.
	Mode *string
}

// Owner is the container whose namespace it is, or "".
func (n Namespace) Owner() string {
	owner, ok := strings.CutPrefix(*n.Mode, ContainerPrefix)
	if !ok {
		return ""
	}
	return owner
}

// Namespaces are those of a blueprint that may be another container's, always in
// the same order.
func (b *Blueprint) Namespaces() []Namespace {
	return []Namespace{
		{"network_mode", "network", &b.NetworkMode},
		{"pid", "pid namespace", &b.PIDMode},
	}
}

// NamespaceOwners are the containers whose namespaces it is in, each once.
func (b *Blueprint) NamespaceOwners() []string {
	var owners []string
	for _, n := range b.Namespaces() {
		if owner := n.Owner(); owner != "" && (len(owners) == 0 || owners[0] != owner) {
			owners = append(owners, owner)
		}
	}
	return owners
}

// Shares reports whether it is in a namespace of a container.
func (b *Blueprint) Shares(id string) bool {
	for _, n := range b.Namespaces() {
		if n.Owner() == id {
			return true
		}
	}
	return false
}
