package plan

import (
	"slices"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// emit turns the decisions into steps.
func (d *differ) emit() {
	d.emitNetworks()
	d.emitVolumes()
	d.emitGates()
	claims := d.claims()
	for _, r := range d.all {
		d.emitDown(r)
		d.emitCreate(r, claims)
		d.emitStart(r, claims)
		if r.actual != nil && r.service != nil && r.service.Mode.Active() && r.up() && !r.start && !d.emitDueHooks(r) {
			d.plan.Unchanged = append(d.plan.Unchanged, r.name)
		}
		if r.done {
			d.plan.Done = append(d.plan.Done, r.name)
		}
	}
	d.emitReady()
}

// emitGates adds a step per pending service that stands for its containers.
func (d *differ) emitGates() {
	for i := range d.want.Services {
		if s := &d.want.Services[i]; len(d.pending[s.Name]) > 0 {
			d.gate(gateID(s.Name), s.Name, d.pending[s.Name])
		}
	}
	if d.want.OneOff != nil && len(d.pending[oneOffKey]) > 0 {
		name := d.want.OneOff.Blueprint.Name
		d.gate(gateID(name), name, d.pending[oneOffKey])
	}
}

func (d *differ) gate(id, target string, after []string) {
	d.steps = append(d.steps, Step{
		ID: id, Kind: Gate, Target: target, After: after, Cause: "planned when the image is known",
	})
}

func (d *differ) emitDown(r *replica) {
	base := Step{
		Target: r.oldName(), Service: r.serviceName(), Number: r.number, Cause: r.cause,
		Stop: stopWith(d.policy.Timeout),
	}
	if r.actual != nil {
		base.Container = r.actual.ID()
	}
	if r.stop {
		step := base
		step.ID, step.Kind = stopID(step.Target), StopContainer
		step.Begin, step.End = "Stopping", "Stopped"
		if r.recreated() {
			step.Begin, step.End = "Recreate", ""
		}
		step.Stop.PassPorts = r.start && publishesTCP(r)
		step.After = append(d.partedBefore(r), d.imageOf(r)...)
		d.steps = append(d.steps, withPreStop(step, r.actual)...)
	}
	if r.remove {
		step := base
		step.ID, step.Kind = removeID(step.Target), RemoveContainer
		step.Begin, step.End = "Removing", "Removed"
		step.Remove.Force = true
		if r.recreated() {
			step.Begin, step.End = "", ""
			if !r.stop {
				step.Begin = "Recreate"
			} else {
				step.Cause = "is made anew"
			}
			step.Remove.KeepLog, step.Remove.Volumes = true, d.policy.RenewAnonymous
		}
		step.After = append(d.imageOf(r), stopID(step.Target))
		d.steps = append(d.steps, step)
	}
}

// publishesTCP reports whether connections can wait while a container is made or
// started anew.
func publishesTCP(r *replica) bool {
	ports := r.blueprint.Ports
	if !r.create {
		ports = r.actual.Blueprint.Ports
	}
	return slices.ContainsFunc(ports, func(p spec.Port) bool { return p.Protocol == "tcp" })
}

// imageOf is the image step that a recreate waits for, if there is one.
func (d *differ) imageOf(r *replica) []string {
	if id := d.imageSteps[r.blueprint.Image]; r.create && id != "" {
		return []string{id}
	}
	return nil
}

// partedBefore are the stops that come before the stop of r: of those that
// share its namespace and of those that restart with it. Those of a pending
// service are not waited for: its image may take long.
func (d *differ) partedBefore(r *replica) []string {
	var out []string
	for _, other := range d.all {
		if !other.stop || other == r || r.service == nil {
			continue
		}
		follows := other.service != nil && slices.Contains(other.service.NamespaceOwners, r.service.Name)
		for _, dep := range other.depends {
			follows = follows || (dep.Restart && dep.Service == r.service.Name)
		}
		if follows {
			out = append(out, stopID(other.oldName()))
		}
	}
	return out
}

func (d *differ) emitCreate(r *replica, claims claims) {
	if !r.create {
		return
	}
	b := r.blueprint
	b.Labels[state.LabelCause] = r.cause
	step := Step{
		ID: createID(r.name), Kind: CreateContainer, Target: r.name, Service: r.serviceName(), Number: r.number,
		Cause: r.cause, Reasons: r.reasons, Begin: "Creating", End: "Created", Blueprint: &b,
	}
	if r.recreated() {
		step.Begin, step.End = "", "Recreated"
	}
	step.After = append(d.imageOf(r), removeID(r.oldName()))
	for _, at := range b.Networks {
		step.After = append(step.After, networkID(at.Network))
	}
	for _, m := range b.Mounts {
		step.After = append(step.After, volumeID(m.Source))
	}
	for _, owner := range b.NamespaceOwners() {
		step.After = append(step.After, createID(owner))
	}
	for _, from := range b.VolumesFrom {
		step.After = append(step.After, createID(from.Container))
	}
	step.After = append(step.After, claims.freed(&b, r.oldName())...)
	if r.service == nil { // a run waits for what it needs before it creates
		for _, dep := range r.depends {
			step.After = append(step.After, d.reached(dep)...)
		}
	}
	d.steps = append(d.steps, step)
}

func (d *differ) emitStart(r *replica, claims claims) {
	if !r.start {
		return
	}
	step := Step{
		ID: startID(r.name), Kind: StartContainer, Target: r.name, Service: r.serviceName(), Number: r.number,
		Cause: r.cause, Begin: "Starting", End: "Started",
	}
	b := &r.blueprint
	switch {
	case r.recreated():
		step.Cause = "is made anew"
	case r.create:
		step.Cause = "is new"
	}
	if !r.create {
		step.Container, b = r.actual.ID(), &r.actual.Blueprint
	}
	step.After = []string{createID(r.name)}
	if !r.create { // else its creation waits for these
		step.After = append(step.After, stopID(r.name))
		for _, at := range b.Networks {
			step.After = append(step.After, networkID(at.Network))
		}
		step.After = append(step.After, claims.freed(b, r.oldName())...)
	}
	for _, owner := range d.owners(r) {
		step.After = append(step.After, startID(owner.name))
	}
	for _, owner := range b.NamespaceOwners() {
		step.After = append(step.After, startID(owner))
	}
	for _, dep := range r.depends {
		step.After = append(step.After, d.reached(dep)...)
	}
	d.steps = append(d.steps, withPostStart(step, b)...)
}

// emitDueHooks adds the hooks that a running container still lacks, and reports
// whether there are any.
func (d *differ) emitDueHooks(r *replica) bool {
	if d.policy.NoStart {
		return false
	}
	due := duePostStart(r.actual)
	d.steps = append(d.steps, due...)
	return len(due) > 0
}

// reached returns the steps that bring a dependency to its condition, and adds
// the waits among them.
func (d *differ) reached(dep model.Dependency) []string {
	if len(d.pending[dep.Service]) > 0 {
		return []string{gateID(dep.Service)}
	}
	s := d.want.Service(dep.Service)
	if s == nil {
		return nil
	}
	var out []string
	for _, r := range d.byService[dep.Service] {
		if !r.stays() || r.done && dep.Condition == model.Completed {
			continue
		}
		if until := untilOf(dep.Condition); until != "" && (s.Mode.Active() || r.start) {
			out = append(out, d.wait(r, dep, until), postStartID(r.name)) // which come after the start
		} else {
			out = append(out, started(r.name)...)
		}
	}
	return out
}

// wait adds the step that waits for a condition of a container, once.
func (d *differ) wait(r *replica, dep model.Dependency, until waitCondition) string {
	id := waitID(r.name, until, !dep.Required)
	if d.waits[id] {
		return id
	}
	d.waits[id] = true
	step := Step{
		ID: id, Kind: WaitContainer, Target: r.name, Service: dep.Service, Number: r.number, Until: until,
		Optional: !dep.Required, Begin: "Waiting", End: endOf(until), After: []string{startID(r.name)},
		Cause: "a dependant asks for " + string(dep.Condition),
	}
	if r.actual != nil && !r.create {
		step.Container = r.actual.ID()
	}
	d.steps = append(d.steps, step)
	return id
}

// emitReady adds the waits of up --wait. A service of which a dependant wants
// the completion is waited for until it has ended.
func (d *differ) emitReady() {
	if !d.policy.Wait || d.policy.NoStart {
		return
	}
	awaited := map[string]bool{}
	for i := range d.want.Services {
		for _, dep := range d.want.Services[i].Depends {
			if dep.Condition == model.Completed && d.want.Services[i].Mode.Active() {
				awaited[dep.Service] = true
			}
		}
	}
	for _, r := range d.all {
		if r.service == nil || !r.service.Mode.Active() || !r.stays() || r.done {
			continue
		}
		if awaited[r.service.Name] {
			d.wait(r, model.Dependency{Service: r.service.Name, Condition: model.Completed, Required: true}, untilOf(model.Completed))
			continue
		}
		d.steps = append(d.steps, readyStep(r.name, r.actualID(), r.service.Name, r.number))
	}
}

func (r *replica) actualID() string {
	if r.actual == nil || r.create {
		return ""
	}
	return r.actual.ID()
}
