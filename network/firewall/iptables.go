package firewall

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// IPTables keeps the same State as Table with iptables, on kernels without
// nf_tables. Each change executes iptables-restore, which takes a few
// milliseconds, and writes all of our chains anew: it is the road for old
// kernels, not the main one. What it cannot do is not done silently: nobody
// tells it of a flush, and no shield stands beside it.
type IPTables struct {
	tag, prefix string
	ns          *os.File

	mu    sync.Mutex // one change at a time
	state map[Network]bool
	ports map[Port]bool
	guest map[Guest]bool
	// strangers are bridges of other engines.
	strangers map[string]bool
	hooks     bool // our chains are jumped to
}

// OpenIPTables is Open for such a kernel. prefix begins the names of the
// engine's links.
func OpenIPTables(tag, prefix string, ns *os.File) *IPTables {
	t := &IPTables{tag: tag, prefix: prefix, ns: ns}
	t.forgetLocked()
	return t
}

// Close does nothing: the rules stay.
func (t *IPTables) Close() error { return nil }

// Ensure makes the rules be exactly those of s.
func (t *IPTables) Ensure(s State) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetLocked()
	return t.writeLocked(s, State{})
}

func (t *IPTables) forgetLocked() {
	t.state, t.ports, t.guest, t.strangers, t.hooks = map[Network]bool{}, map[Port]bool{}, map[Guest]bool{}, map[string]bool{}, false
}

// Change takes elements out and puts others in.
func (t *IPTables) Change(add, remove State) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writeLocked(add, remove)
}

func (t *IPTables) writeLocked(add, remove State) error {
	for _, n := range remove.Networks {
		delete(t.state, n)
	}
	for _, p := range remove.Ports {
		delete(t.ports, p)
	}
	for _, g := range remove.Guests {
		delete(t.guest, g)
	}
	for _, l := range remove.Strangers {
		delete(t.strangers, l)
	}
	for _, l := range add.Strangers {
		t.strangers[l] = true
	}
	for _, g := range add.Guests {
		t.guest[g] = true
	}
	for _, n := range add.Networks {
		t.state[n] = true
	}
	for _, p := range add.Ports {
		t.ports[p] = true
	}
	s := State{Networks: slices.Collect(maps.Keys(t.state)), Ports: slices.Collect(maps.Keys(t.ports)), Guests: slices.Collect(maps.Keys(t.guest)), Strangers: slices.Sorted(maps.Keys(t.strangers))}
	text, err := IPTablesRules(t.tag, t.prefix, s)
	if err != nil {
		return err
	}
	if err := restore(t.ns, text); err != nil {
		return fmt.Errorf("cannot write the rules with iptables: %w", err)
	}
	if t.hooks {
		return nil
	}
	if err := hook(t.ns, t.jumps()); err != nil {
		return fmt.Errorf("cannot lead packets to our rules with iptables: %w", err)
	}
	t.hooks = true
	return nil
}

// Remove takes all of the engine's rules and chains away; none is success.
func (t *IPTables) Remove() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetLocked()
	if err := unhook(t.ns, t.jumps()); err != nil {
		return fmt.Errorf("cannot remove the rules with iptables: %w", err)
	}
	return nil
}

// Stands reports that the rules are there: nobody looks.
func (t *IPTables) Stands() (bool, error) { return true, nil }

// Admit and Dismiss have nothing to do: the chains accept by themselves what
// is from or to us, before the host's own rules.
func (t *IPTables) Admit(...string) error   { return nil }
func (t *IPTables) Dismiss(...string) error { return nil }

// Live reads back the rules that concern the state's networks and ports.
func (t *IPTables) Live(s State) ([]string, error) {
	var words []string
	for _, n := range s.Networks {
		words = append(words, " "+n.Bridge+" ", " "+n.Subnet.String()+" ")
	}
	for _, p := range s.Ports {
		words = append(words, " "+p.Target.String()+" ")
	}
	path, err := tool("")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, j := range t.jumps() {
		out, err := execute(t.ns, "", path, "-w", "-t", j.table, "-S", j.to)
		if err != nil {
			continue // the chain is not there
		}
		for line := range strings.Lines(out) {
			line = strings.TrimSpace(line)
			if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line+" ", w) }) {
				lines = append(lines, j.table+" "+line)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// Watch waits for the end of ctx: nothing is told by such a kernel.
func (t *IPTables) Watch(ctx context.Context, _ func(Notice)) error {
	<-ctx.Done()
	return nil
}

// Shielded reports that no Shield can stand beside it.
func (t *IPTables) Shielded() bool { return false }

// Shielded reports that a Shield can stand beside it.
func (t *Table) Shielded() bool { return true }

// Supported reports whether the kernel has nf_tables.
func Supported(ns *os.File) (bool, error) {
	c, err := dial(ns)
	if err == nil {
		_, err = c.ListTables()
		err = errors.Join(explain(err), c.CloseLasting())
	}
	if errors.Is(err, ErrUnsupported) || errors.Is(err, unix.EINVAL) {
		return false, nil // what nfnetlink answers for a part that it lacks
	}
	return err == nil, err
}
