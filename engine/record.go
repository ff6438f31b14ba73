package engine

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"github.com/mycompose/mycompose/engine/health"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network/ipam"
)

// leasesKind lies beside a network's own object.
func leasesKind() store.Kind {
	return store.Kind{Word: "address leases", Folder: "networks", File: "leases.json", Version: 1, Often: true}
}

// record is what a container was created with. It never changes.
type record struct {
	ID string `json:"id"`
	// Blueprint as it was given: its ID may be empty.
	Blueprint spec.Blueprint   `json:"blueprint"`
	Image     spec.ImageConfig `json:"image"`
	// ImageDigest is the image record's; it exists while this names it.
	ImageDigest string    `json:"imageDigest"`
	CreatedAt   time.Time `json:"createdAt"`
	// Mounts are the blueprint's, those of others, and the image's volumes that it leaves
	// open, anonymous ones with the name they got; outer targets first.
	Mounts []spec.Mount `json:"mounts,omitempty"`
	// Borrowed are the targets of those that come from other containers.
	Borrowed []string `json:"borrowed,omitempty"`
	// Anonymous are the volumes that were made for it.
	Anonymous []string `json:"anonymous,omitempty"`
}

// blueprint is the blueprint with its id, as answers carry it.
func (r *record) blueprint() spec.Blueprint {
	b := r.Blueprint
	b.ID = r.ID
	return b
}

// equalBlueprint reports whether b asks for what the record holds.
func (r *record) equalBlueprint(b spec.Blueprint) bool {
	if b.ID == "" || r.Blueprint.ID == "" {
		b.ID = r.Blueprint.ID
	}
	return sameJSON(r.Blueprint, b)
}

// sameJSON compares what survives JSON: nil and empty omitted fields are equal.
func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// condition is what happened to a container last.
type condition struct {
	Status  spec.Status    `json:"status"`
	Restart health.Restart `json:"restart"`
	// BootID of the last start: after a reboot nothing of it is there.
	BootID string `json:"bootId,omitempty"`
	// Run is the start time that names the current or last run, Unix
	// nanoseconds of the monitor; 0 before the first and while starting.
	Run int64 `json:"run,omitempty"`
	// Places are the endpoints with what only the engine needs.
	Places []place `json:"places,omitempty"`
	// Connected and Disconnected are what commands changed about the
	// blueprint's networks.
	Connected    []spec.Attachment `json:"connected,omitempty"`
	Disconnected []string          `json:"disconnected,omitempty"`
	// MountsChanged: an exec was allowed to change what is mounted in it.
	MountsChanged bool `json:"mountsChanged,omitempty"`
	// HookRounds is how often the hooks of a moment were run, whatever came of it.
	HookRounds int `json:"hookRounds,omitempty"`
	// Held is set from before anything is acquired for a start until all
	// is released.
	Held bool `json:"held,omitempty"`
}

// unknownRun reports whether a run that a monitor tells of, 0 for none, is
// another than the last that was noted. It may seem to be the older one, where
// the clock was set back.
func (c condition) unknownRun(startedAt int64) bool {
	noted := c.Run
	if noted == 0 && !c.Status.StartedAt.IsZero() {
		noted = c.Status.StartedAt.UnixNano()
	}
	return startedAt != 0 && startedAt != noted
}

// place is a container's place on a network.
type place struct {
	Network string `json:"network"`
	Bridge  string `json:"bridge"`
	Link    string `json:"link,omitempty"` // the host's end
	// Addr and Addr6 are the IPv4 and the IPv6 address, zero on a network
	// without the family.
	Addr  netip.Addr `json:"addr"`
	Addr6 netip.Addr `json:"addr6,omitzero"`
	MAC   string     `json:"mac"`
	// Inside is the name of the container's end.
	Inside string `json:"inside,omitempty"`
	// Published marks the one that host ports lead to.
	Published bool `json:"published,omitempty"`
}

func (p place) four() netip.Addr { return p.Addr }
func (p place) six() netip.Addr  { return p.Addr6 }

// addrs are the place's addresses, IPv4 first.
func (p place) addrs() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{p.Addr, p.Addr6}, func(a netip.Addr) bool { return !a.IsValid() })
}

// main is the address that stands for the place.
func (p place) main() netip.Addr { return p.addrs()[0] }

// networkRecord is what a network was created with, and the choices made.
type networkRecord struct {
	Network spec.Network `json:"network"` // as given
	// Bridge is the network's link on the host; the parent for macvlan and
	// ipvlan, which is ours if Made.
	Bridge    string        `json:"bridge"`
	Made      bool          `json:"made,omitempty"`
	Configs   []ipam.Config `json:"configs"` // IPv4 first
	CreatedAt time.Time     `json:"createdAt"`
}

// leases are the addresses of one network, by address family.
type leases struct {
	Held  map[string]netip.Addr `json:"held"`
	Last  netip.Addr            `json:"last,omitzero"`
	Held6 map[string]netip.Addr `json:"held6,omitempty"`
	Last6 netip.Addr            `json:"last6,omitzero"`
}
