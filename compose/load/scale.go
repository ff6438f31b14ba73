package load

import (
	"fmt"

	"github.com/mycompose/mycompose/compose/model"
)

// CheckScale checks the numbers of replicas in Project, after flags may have
// changed them: a fixed host port, a fixed address and a container name are for
// one replica. `config` accepts such a file, as docker compose does; what
// starts containers asks here first.
func (r *Result) CheckScale() error {
	var found problems
	for _, name := range r.Services() {
		s := r.Project.Services[name]
		if s.Scale <= 1 {
			continue
		}
		path := "services." + name
		for _, port := range s.Ports {
			r.checkPortRange(&found, path+".ports", s, port)
		}
		if s.ContainerName != "" {
			found.add(r.Positions.At(path+".container_name"), path, fmt.Sprintf("service %s has container_name and %d replicas", name, s.Scale),
				"take container_name away: names are unique")
		}
		for _, n := range s.Networks {
			if n.IPv4 != "" {
				at := path + ".networks." + n.Network + ".ipv4_address"
				found.add(r.Positions.At(at), at, fmt.Sprintf("service %s has a fixed address and %d replicas", name, s.Scale), "take ipv4_address away")
			}
		}
	}
	return found.err()
}

func (r *Result) checkPortRange(found *problems, path string, s model.Service, port model.Port) {
	count := int(port.PublishedEnd) - int(port.Published) + 1
	if port.PublishedEnd == 0 {
		count = 1
	}
	if port.Published == 0 || count >= s.Scale {
		return
	}
	at := r.Positions.item(path, func(text string) bool { return publishes(text, port.Published, port.Protocol) })
	found.add(at, path, fmt.Sprintf("service %s publishes host port %d and has %d replicas", s.Name, port.Published, s.Scale),
		fmt.Sprintf("publish a range such as %d-%d:%d, or leave the host port out", port.Published, int(port.Published)+s.Scale-1, port.Target))
}
