package plan

import (
	"strconv"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

type waitCondition = spec.Condition

// untilOf says what to wait for beyond the start; "" is nothing.
func untilOf(c model.Condition) waitCondition {
	switch c {
	case model.Healthy:
		return spec.UntilHealthy
	case model.Completed:
		return spec.UntilExited
	}
	return ""
}

// endOf is docker compose's word for a condition that came true.
func endOf(until waitCondition) string {
	if until == spec.UntilExited {
		return "Exited"
	}
	return "Healthy"
}

func stopWith(timeout *time.Duration) spec.Stop { return spec.Stop{Grace: timeout} }

func readyStep(name, id, service string, number int) Step {
	return Step{
		ID: readyID(name), Kind: ReadyContainer, Target: name, Container: id, Service: service, Number: number,
		Begin: "Waiting", End: "Healthy", Cause: "asked for with --wait", After: started(name),
	}
}

// claims maps a name or host port to the step that frees it.
type claims map[string]claim

type claim struct {
	holder string // name of the container
	step   string
}

// claims finds what containers hold that the plan stops or removes, or may once
// a pending service is decided, so that another container that wants it comes
// after.
func (d *differ) claims() claims {
	out := claims{}
	for name := range d.pending {
		for _, c := range d.actual.Replicas(name) {
			out.add(&c, gateID(name), true)
		}
	}
	for _, r := range d.all {
		switch {
		case r.actual == nil:
		case r.remove:
			out.add(r.actual, removeID(r.oldName()), true)
		case r.stop:
			out.add(r.actual, stopID(r.oldName()), false)
		}
	}
	return out
}

func (c claims) add(holder *state.Container, step string, named bool) {
	claim := claim{holder.Name(), step}
	if named {
		c["name "+holder.Name()] = claim
	}
	for _, key := range portKeys(&holder.Blueprint) {
		c[key] = claim
	}
	for _, at := range holder.Blueprint.Networks {
		if at.IPv4Address != "" {
			c["address "+at.Network+" "+at.IPv4Address] = claim
		}
	}
}

// freed returns the steps that free what a blueprint needs; what the container
// named own holds is its own affair.
func (c claims) freed(b *spec.Blueprint, own string) []string {
	if len(c) == 0 {
		return nil
	}
	keys := append(portKeys(b), "name "+b.Name)
	for _, at := range b.Networks {
		if at.IPv4Address != "" {
			keys = append(keys, "address "+at.Network+" "+at.IPv4Address)
		}
	}
	var out []string
	for _, key := range keys {
		if claim, ok := c[key]; ok && claim.holder != own {
			out = append(out, claim.step)
		}
	}
	return out
}

// portKeys names the fixed host ports of a blueprint, whatever their address.
func portKeys(b *spec.Blueprint) []string {
	var out []string
	for _, p := range b.Ports {
		if p.HostPort != 0 && p.HostPortEnd <= p.HostPort {
			out = append(out, "port "+strconv.Itoa(int(p.HostPort))+"/"+p.Protocol)
		}
	}
	return out
}
