package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mycompose/mycompose/network/firewall"
)

// published is one firewall element.
type published = firewall.Port

// packetRules are a firewall.Table, or a firewall.IPTables where the kernel
// lacks nf_tables.
type packetRules interface {
	Ensure(firewall.State) error
	Change(add, remove firewall.State) error
	Remove() error
	Stands() (bool, error)
	Live(firewall.State) ([]string, error)
	Watch(ctx context.Context, tell func(firewall.Notice)) error
	Admit(links ...string) error
	Dismiss(links ...string) error
	Shielded() bool
	Close() error
}

// openRules opens the road that the kernel has.
func (e *Engine) openRules() (packetRules, error) {
	supported, err := firewall.Supported(nil)
	if err != nil {
		return nil, err
	}
	if supported && !e.cfg.IPTables {
		return firewall.Open(e.place.Tag, nil), nil
	}
	e.log.Info("rules are kept by iptables: the kernel has no nf_tables")
	return firewall.OpenIPTables(e.place.Tag, e.linkPrefix(), nil), nil
}

// rules is the state that the firewall's table shall have, and the table. Beside
// the table stand two rules of ours in each forward chain of others that refuses
// what it does not know.
type rules struct {
	mu       sync.Mutex // held over each change: the table follows the state
	table    packetRules
	links    string // all of ours that we have named, for Admit
	networks map[firewall.Network]struct{}
	ports    map[firewall.Port]struct{}
	guests   map[firewall.Guest]struct{}
	// strangers are bridges of other engines.
	strangers []string
	behind    bool // a change failed: the table is not what the state says
}

func newRules(t packetRules, prefix string) *rules {
	return &rules{
		table: t, links: prefix + "+", networks: map[firewall.Network]struct{}{},
		ports: map[firewall.Port]struct{}{}, guests: map[firewall.Guest]struct{}{},
	}
}

// change puts elements in and takes others out, in one transaction. The table
// is made if it is missing, and goes with the last network.
func (r *rules) change(add, remove firewall.State) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := len(r.networks) == 0
	for _, n := range remove.Networks {
		delete(r.networks, n)
	}
	for _, p := range remove.Ports {
		delete(r.ports, p)
	}
	for _, g := range remove.Guests {
		delete(r.guests, g)
	}
	r.noteLocked(add)
	named := r.namedLocked(remove)
	if len(r.networks) == 0 {
		return r.removeLocked(named...)
	}
	err := r.changeLocked(add, remove, gone)
	if len(named) > 0 {
		err = errors.Join(err, r.table.Dismiss(named...))
	}
	if named = r.namedLocked(add); err == nil && len(named) > 0 {
		err = r.table.Admit(named...)
	}
	return err
}

func (r *rules) changeLocked(add, remove firewall.State, gone bool) error {
	if r.behind || gone {
		return r.ensureLocked() // a change that finds no table waits 10 to 20 ms for its end
	}
	err := r.table.Change(add, remove)
	if errors.Is(err, firewall.ErrMissing) {
		return r.ensureLocked()
	}
	r.behind = err != nil
	return err
}

// note takes elements into the state; ensure writes them.
func (r *rules) note(s firewall.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteLocked(s)
}

func (r *rules) noteLocked(s firewall.State) {
	for _, n := range s.Networks {
		r.networks[n] = struct{}{}
	}
	for _, p := range s.Ports {
		r.ports[p] = struct{}{}
	}
	for _, g := range s.Guests {
		r.guests[g] = struct{}{}
	}
}

// ensure makes the table be what the state says.
func (r *rules) ensure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.networks) == 0 {
		return r.removeLocked()
	}
	return r.ensureLocked()
}

// namedLocked are the bridges of a state that have a name of their user's.
func (r *rules) namedLocked(s firewall.State) (named []string) {
	for _, n := range s.Networks {
		if !strings.HasPrefix(n.Bridge, strings.TrimSuffix(r.links, "+")) && !slices.Contains(named, n.Bridge) {
			named = append(named, n.Bridge)
		}
	}
	return named
}

// admitLocked lets all bridges through the forward chains of others.
func (r *rules) admitLocked() error {
	return r.table.Admit(append(r.namedLocked(r.stateLocked()), r.links)...)
}

// removeLocked takes all away; gone are bridges with a name of their user's.
func (r *rules) removeLocked(gone ...string) error {
	return errors.Join(r.table.Remove(), r.table.Dismiss(append(gone, r.links)...))
}

// notice repairs what somebody else has changed.
func (r *rules) notice(n firewall.Notice) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.networks) == 0 {
		return nil
	}
	if n.Ours {
		stands, err := r.table.Stands()
		if err != nil || !stands {
			err = errors.Join(err, r.ensureLocked())
			return errors.Join(err, firewall.ForgetUntranslated(nil, r.stateLocked()))
		}
	}
	if n.Others {
		return r.admitLocked()
	}
	return nil
}

func (r *rules) stateLocked() firewall.State {
	return firewall.State{
		Networks: slices.Collect(maps.Keys(r.networks)),
		Ports:    slices.Collect(maps.Keys(r.ports)),
		Guests:   slices.Collect(maps.Keys(r.guests)),

		Strangers: r.strangers,
	}
}

// estrange says which bridges of the host are other engines'.
func (r *rules) estrange(links []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Equal(links, r.strangers) {
		return nil
	}
	add, remove := strangerChange(r.strangers, links)
	r.strangers = links
	if len(r.networks) == 0 {
		return nil // the table is made with them
	}
	// Who brings a bridge may have brought a forward chain that nobody told of.
	return errors.Join(r.changeLocked(firewall.State{Strangers: add}, firewall.State{Strangers: remove}, false), r.admitLocked())
}

func (r *rules) ensureLocked() error {
	err := r.table.Ensure(r.stateLocked())
	r.behind = err != nil
	return errors.Join(err, r.admitLocked())
}

func (r *rules) close() error { return r.table.Close() }
