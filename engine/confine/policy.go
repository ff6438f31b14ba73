package confine

import (
	"fmt"
	"slices"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spec"
)

// Policy is what a blueprint says about rights. The zero value is dockerd's
// default.
type Policy struct {
	// Privileged: every capability that this process may hand on, no seccomp,
	// nothing masked, /sys writable. Host devices are the caller's part.
	Privileged      bool
	CapAdd, CapDrop []string
	NoNewPrivileges bool
	// Seccomp is "" or "default" for the default profile, "unconfined" for none.
	Seccomp string
}

// Confiner applies policies. One is shared by all starts of a daemon: it keeps
// the compiled profiles, two or three of a few KiB as a rule. It may be used
// by many goroutines.
type Confiner struct {
	profiles profileCache
	// held limits privileged containers to what this process has.
	held uint64
}

// New returns a Confiner for this machine.
func New() (*Confiner, error) {
	held, err := boundingSet()
	if err != nil {
		return nil, fmt.Errorf("cannot read own capabilities: %w", err)
	}
	return &Confiner{held: held}, nil
}

// Apply sets capabilities, seccomp, no_new_privs and, but for an exec, masked
// and read-only paths of r. r.Process.UID must be set before: only root gets
// permitted capabilities, as with dockerd.
func (c *Confiner) Apply(r *recipe.Recipe, p Policy) error {
	caps, err := capabilities(p)
	if err != nil {
		return err
	}
	if err := c.checkHeld(p, caps); err != nil {
		return err
	}
	caps = slices.DeleteFunc(caps, func(n uint) bool { return c.held&(1<<n) == 0 })
	r.Process.Bounding = caps
	r.Process.Permitted, r.Process.Inheritable, r.Process.Ambient = nil, nil, nil
	if r.Process.UID == 0 {
		r.Process.Permitted = caps
	}
	r.Process.NoNewPrivileges = p.NoNewPrivileges
	r.Process.Seccomp, err = c.seccomp(p, caps)
	if err != nil {
		return err
	}
	r.WritableSys = p.Privileged
	r.MaskedPaths, r.ReadonlyPaths = nil, nil
	if !p.Privileged && r.Kind != recipe.KindExec {
		r.MaskedPaths, r.ReadonlyPaths = MaskedPaths(), ReadonlyPaths()
	}
	return nil
}

// checkHeld refuses a capability asked for by name that this process does not
// have itself; default, ALL and privileged take what there is.
func (c *Confiner) checkHeld(p Policy, caps []uint) error {
	for _, name := range p.CapAdd {
		n, err := capabilityNumber(name)
		if err != nil || !slices.Contains(caps, n) { // ALL, or dropped again
			continue
		}
		if c.held&(1<<n) == 0 {
			return spec.Errorf(spec.ErrUnavailable, "cannot give capability %s: this machine does not give it to mycompose", name)
		}
	}
	return nil
}

func (c *Confiner) seccomp(p Policy, caps []uint) ([]byte, error) {
	switch p.Seccomp {
	case "unconfined":
		return nil, nil
	case "", "default":
		if p.Privileged {
			return nil, nil
		}
		return c.profiles.defaultProfile(caps)
	}
	return nil, spec.Errorf(spec.ErrInvalid, "cannot use seccomp profile %q: it must be default or unconfined", p.Seccomp)
}

// MaskedPaths are hidden from a container: those of the OCI default as dockerd
// has them. Missing ones are no error.
func MaskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore",
		"/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",
		"/sys/firmware", "/sys/devices/virtual/powercap",
	}
}

// ReadonlyPaths cannot be written to in a container, as with dockerd.
func ReadonlyPaths() []string {
	return []string{
		"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
	}
}
