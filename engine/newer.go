package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/ipam"
)

// What a newer mycompose wrote is read as far as both know it and never changed:
//
//	container   listed; runs on with its names, ports and addresses; every
//	            command that would change it is refused, it is not restarted
//	network     stands on; no container is begun on it, nor is it removed
//	volume      is used by those that name it; not removed
//	leases      count; no container is begun on their network
//
// The machine fills in what cannot be read: whether a container runs, and the
// subnets of a bridge. As long as there is one of them, links of ours that nobody
// knows are left alone.

// newerAttention is how often it is looked whether a container of a newer
// mycompose, whose monitor speaks to nobody, has ended.
const newerAttention = time.Second

// unknownText is the reason that a list gives for such a container.
const unknownText = "a newer mycompose wrote it: it cannot be changed"

// loaded is what the store holds of ours, by name.
type loaded struct {
	records    map[string]record
	conditions map[string]condition
	networks   map[string]networkRecord
	leases     map[string]leases
	volumes    map[string]spec.Volume
	// newer are containers and networks that only a newer mycompose may change.
	newerContainers, newerNetworks map[string]error
}

// addNewer takes in what can be known of objects in a newer format, and names
// them.
func (s *loaded) addNewer(errs error) {
	s.newerContainers, s.newerNetworks = map[string]error{}, map[string]error{}
	for _, newer := range store.Newer(errs) {
		switch name := newer.Name; newer.Word {
		case store.Container.Word:
			rec := partly[record](newer.Body)
			rec.ID = name
			s.records[name], s.newerContainers[name] = rec, newer
		case store.ContainerStatus.Word:
			s.conditions[name], s.newerContainers[name] = partly[condition](newer.Body), newer
		case store.Network.Word:
			s.networks[name], s.newerNetworks[name] = partly[networkRecord](newer.Body), newer
		case leasesKind().Word:
			s.leases[name] = partly[leases](newer.Body)
		case store.Volume.Word:
			v := partly[spec.Volume](newer.Body)
			v.Name = name
			s.volumes[name] = v
		}
	}
	for id := range s.newerContainers {
		rec := s.records[id]
		rec.ID = id
		if rec.Blueprint.Name == "" {
			rec.Blueprint.Name = short(id)
		}
		s.records[id] = rec
		c := s.conditions[id]
		c.Status.Reason = unknownText
		s.conditions[id] = c
	}
}

// partly decodes the fields of a document that still are what we know; an error
// is one about a field, and leaves the others.
func partly[T any](body []byte) (v T) {
	_ = json.Unmarshal(body, &v)
	return v
}

// completeNetwork fills in from the machine what cannot be read of a newer
// mycompose's network; false if it is not known where it stands.
func (e *Engine) completeNetwork(name string, rec *networkRecord, conditions map[string]condition) (bool, error) {
	rec.Network.Name = name
	for _, c := range conditions {
		for _, p := range c.Places {
			if rec.Bridge == "" && p.Network == name && c.BootID == e.bootID {
				rec.Bridge = p.Bridge
			}
		}
	}
	rec.Configs = slices.DeleteFunc(rec.Configs, func(c ipam.Config) bool { return !c.Subnet.IsValid() || !c.Gateway.IsValid() })
	if rec.Bridge == "" || len(rec.Configs) > 0 {
		return rec.Bridge != "", nil
	}
	routes, err := e.host.Routes()
	if err != nil {
		return false, err
	}
	for _, r := range routes {
		if r.Link != rec.Bridge || r.Prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		if c, err := ipam.Resolve(ipam.Config{Subnet: r.Prefix}); err == nil && !slices.ContainsFunc(rec.Configs, func(other ipam.Config) bool { return other.Subnet == c.Subnet }) {
			rec.Configs = append(rec.Configs, c)
		}
	}
	four, six := ipam.Split(rec.Configs)
	rec.Configs = append(four, six...)
	return len(rec.Configs) > 0, nil
}

// changeable finds a container that a command is to change.
func (e *Engine) changeable(id string) (*life, error) {
	l, err := e.life(id)
	if err == nil && l.newer != nil {
		err = fmt.Errorf("cannot change container %s: %w", l.name(), l.newer)
	}
	return l, err
}

// Changeable names those that only a newer mycompose may change.
func (e *Engine) Changeable(_ context.Context, t spec.Touched) []error {
	var errs []error
	for _, id := range t.Containers {
		if _, err := e.changeable(id); err != nil && !errors.Is(err, spec.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	for _, name := range t.Networks {
		if err := e.store.Refused(store.Network, name); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove network %s: %w", name, err))
		}
	}
	for _, name := range t.Volumes {
		if err := e.store.Refused(store.Volume, name); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove volume %s: %w", name, err))
		}
	}
	return errs
}

// checkNetworks refuses a container on a network that only a newer mycompose may
// change.
func (e *Engine) checkNetworks(b spec.Blueprint) error {
	var errs []error
	for _, a := range b.Networks {
		if on := e.bridge(a.Network); on != nil && on.newer != nil {
			errs = append(errs, fmt.Errorf("cannot join network %s: %w", a.Network, on.newer))
		}
	}
	return errors.Join(errs...)
}

// attend does for a container of a newer mycompose what it needs of us while it
// runs, and sees its end: names are answered, ports stay reserved. turn is held.
func (e *Engine) attend(l *life) error {
	pids, err := e.processes(l.id)
	if err != nil || len(pids) == 0 {
		e.newerEnded(l)
		return err
	}
	c := l.set(func(c *condition) {
		c.Held, c.BootID = true, e.bootID
		if !named(c.Status) {
			c.Status.State = spec.StateRunning
		}
	})
	l.held.pid = slices.Min(pids)
	if l.rec.Blueprint.NetworkMode != modeHost {
		l.held.netns = e.networkOf(l, pids)
	}
	e.goDo(func() { e.awaitNewer(l) })
	return e.replug(l, c)
}

// networkOf is the network namespace of a container that its processes show. One
// that is just being started joins it in a moment; none does where the newer word
// for the host's network is one that we do not know: then it is nil.
func (e *Engine) networkOf(l *life, pids []int) *os.File {
	for end := time.Now().Add(newerAttention); ; time.Sleep(returnPause) {
		ns, err := network.OfProcesses(pids)
		if err == nil {
			return ns
		}
		if !bridged(l.rec.Blueprint) || time.Now().After(end) {
			e.log.Warn("the network of a container is not seen", "container", l.name(), "err", err)
			return nil
		}
	}
}

// processes are those in the control group of a container, whatever its project.
func (e *Engine) processes(id string) ([]int, error) {
	groups, err := e.cgroups.List(e.groupRoot())
	if err != nil {
		return nil, err
	}
	for _, name := range groups {
		if path.Base(name) == id {
			return e.cgroups.Group(name).PIDs()
		}
	}
	return nil, nil
}

// awaitNewer waits for the end of a container that is attended to.
func (e *Engine) awaitNewer(l *life) {
	for {
		select {
		case <-time.After(newerAttention):
		case <-e.ctx.Done():
			return
		}
		if pids, err := e.processes(l.id); err == nil && len(pids) == 0 {
			l.turn.Lock()
			e.newerEnded(l)
			l.turn.Unlock()
			return
		}
	}
}

// newerEnded notes that a container of a newer mycompose does not run, and lets
// go of what would keep its namespace. What it has on the machine stays: its
// owner's next engine removes it. turn is held.
func (e *Engine) newerEnded(l *life) {
	l.set(func(c *condition) {
		if c.Status.Up() {
			c.Status.State = spec.StateExited
		}
	})
	c, _, _ := l.look()
	e.announce(l, c.Places, false)
	if l.held.resolver != nil {
		l.held.resolver()
		l.held.resolver = nil
	}
	container.CloseFiles([]*os.File{l.held.netns})
	l.held.netns = nil
}
