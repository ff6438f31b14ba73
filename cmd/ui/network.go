package ui

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// Network is one row of network ls, with docker's fields.
type Network struct {
	CreatedAt string
	Driver    string
	ID        string
	IPv4      string
	IPv6      string
	Internal  string
	Labels    string
	Name      string
	Scope     string

	labels map[string]string
}

// Label is the value of one label, for templates.
func (n Network) Label(name string) string { return n.labels[name] }

// shortID is how many digits of an id tables show.
const shortID = 12

// Networks is network ls; full does not cut ids.
func (s *Screen) Networks(networks []spec.Network, format string, full bool) error {
	var rows []Network
	for _, n := range networks {
		id := n.ID
		if !full {
			id = id[:min(shortID, len(id))]
		}
		rows = append(rows, Network{
			CreatedAt: n.CreatedAt.Format("2006-01-02 15:04:05.999999999 -0700 MST"), Driver: NetworkDriver(n), ID: id,
			IPv4: strconv.FormatBool(!n.DisableIPv4), IPv6: strconv.FormatBool(n.EnableIPv6), Internal: strconv.FormatBool(n.Internal),
			Labels: labels(n.Labels), Name: n.Name, Scope: "local", labels: n.Labels,
		})
	}
	return s.List(Listing{
		Columns: []string{"NETWORK ID", "NAME", "DRIVER", "SCOPE"}, Rows: boxed(rows),
		Cells: func(i int) []string { return []string{rows[i].ID, rows[i].Name, rows[i].Driver, rows[i].Scope} },
	}, format)
}

// NetworkDriver is the driver of a network with its default.
func NetworkDriver(n spec.Network) string {
	if n.Driver == "" {
		return spec.DriverBridge
	}
	return n.Driver
}

// NetworkInspect is the answer of network inspect: docker's fields, then ours.
type NetworkInspect struct {
	Name       string
	Id         string
	Created    string
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       NetworkIPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom struct{ Network string }
	ConfigOnly bool
	Containers map[string]NetworkContainer
	Options    map[string]string
	Labels     map[string]string

	// Project is the compose project that made it.
	Project string
	// Link is its device on the host.
	Link string
	// Rules are the elements of our firewall table for it that are live,
	// Names what its containers can look up.
	Rules []string
	Names map[string][]string
	// Clashes are routes of the host that came later and lead into it.
	Clashes []string
}

// NetworkIPAM says which addresses a network hands out.
type NetworkIPAM struct {
	Driver  string
	Options map[string]string
	Config  []NetworkPool
}

// NetworkPool is one range of addresses.
type NetworkPool struct {
	Subnet             string
	IPRange            string `json:",omitempty"`
	Gateway            string
	AuxiliaryAddresses map[string]string `json:",omitempty"`
}

// NetworkContainer is a container on a network.
type NetworkContainer struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
	// Link is the name of the device in the container.
	Link string
}

// InspectedNetwork is the answer about one network.
func InspectedNetwork(d spec.NetworkDetails) NetworkInspect {
	out := NetworkInspect{
		Name: d.Name, Id: d.ID, Created: d.CreatedAt.Format("2006-01-02T15:04:05.999999999Z07:00"), Scope: "local",
		Driver: NetworkDriver(d.Network), EnableIPv4: !d.DisableIPv4, EnableIPv6: d.EnableIPv6, Internal: d.Internal, Attachable: d.Attachable,
		IPAM: NetworkIPAM{Driver: "default"}, Containers: map[string]NetworkContainer{},
		Options: filled(d.Options), Labels: filled(d.Labels),
		Project: d.Project, Link: d.Link, Rules: d.Rules, Names: d.Names, Clashes: d.Clashes,
	}
	if out.Rules == nil {
		out.Rules = []string{}
	}
	if out.Clashes == nil {
		out.Clashes = []string{}
	}
	for _, p := range d.Pools {
		out.IPAM.Config = append(out.IPAM.Config, NetworkPool{
			Subnet: p.Subnet, IPRange: p.IPRange, Gateway: p.Gateway, AuxiliaryAddresses: p.Reserved,
		})
	}
	for _, m := range d.Attached {
		out.Containers[m.ID] = NetworkContainer{
			Name: m.Name, EndpointID: d.ID[:min(32, len(d.ID))] + m.ID[:min(32, len(m.ID))], MacAddress: m.MAC,
			IPv4Address: m.IPv4, IPv6Address: m.IPv6, Link: m.Link,
		}
	}
	return out
}

func filled(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// NetworkDetails shows inspected networks, as one JSON array or by a template.
func (s *Screen) NetworkDetails(list []spec.NetworkDetails, format string) error {
	rows := []NetworkInspect{}
	for _, d := range list {
		rows = append(rows, InspectedNetwork(d))
	}
	if format == "" || format == "json" {
		data, err := json.MarshalIndent(rows, "", "    ")
		if err != nil {
			return fmt.Errorf("cannot write JSON: %w", err)
		}
		s.Println(string(data))
		return nil
	}
	return s.List(Listing{Rows: boxed(rows)}, format)
}

// networkFilters are the keys that network ls filters by.
func networkFilters() []string {
	return []string{"dangling", "driver", "id", "label", "name", "scope", "type"}
}

// FilterNetworks keeps those that fit: of each key one of its values, of labels
// every one.
func FilterNetworks(networks []spec.Network, filters map[string][]string) ([]spec.Network, error) {
	for key, values := range filters {
		if !slices.Contains(networkFilters(), key) {
			return nil, spec.Errorf(spec.ErrInvalid, "invalid filter %q; those of networks are %s", key, strings.Join(networkFilters(), ", "))
		}
		if key != "dangling" {
			continue
		}
		for _, v := range values {
			if _, err := strconv.ParseBool(v); err != nil {
				return nil, spec.Errorf(spec.ErrInvalid, "invalid filter dangling=%s; write true or false", v)
			}
		}
	}
	var out []spec.Network
	for _, n := range networks {
		if fitsAll(n, filters) {
			out = append(out, n)
		}
	}
	return out, nil
}

func fitsAll(n spec.Network, filters map[string][]string) bool {
	for _, key := range slices.Sorted(maps.Keys(filters)) {
		fits := func(value string) bool { return fitsOne(n, key, value) }
		values := filters[key]
		if key == "label" && slices.ContainsFunc(values, func(v string) bool { return !fits(v) }) {
			return false
		}
		if key != "label" && !slices.ContainsFunc(values, fits) {
			return false
		}
	}
	return true
}

func fitsOne(n spec.Network, key, value string) bool {
	switch key {
	case "driver":
		return NetworkDriver(n) == value
	case "id":
		return strings.HasPrefix(n.ID, value)
	case "name":
		return strings.Contains(n.Name, value)
	case "scope":
		return value == "local"
	case "type":
		return value == "custom"
	case "dangling":
		wanted, _ := strconv.ParseBool(value)
		return wanted == (len(n.Containers) == 0)
	}
	label, want, given := strings.Cut(value, "=")
	got, ok := n.Labels[label]
	return ok && (!given || got == want)
}
