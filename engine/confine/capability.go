package confine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/engine/spec"
)

// capabilityNames are the names without CAP_, the index is the number:
// linux/capability.h, capabilities(7).
func capabilityNames() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL",
		"SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE",
		"NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
		"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
		"SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
		"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL",
		"SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
		"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
	}
}

// defaultCapabilities are those that dockerd gives every container.
func defaultCapabilities() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW",
		"SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
		"SYS_CHROOT", "KILL", "AUDIT_WRITE",
	}
}

// capabilityNumber knows "NET_ADMIN", "CAP_NET_ADMIN" and both in lower case.
func capabilityNumber(name string) (uint, error) {
	short := strings.TrimPrefix(strings.ToUpper(name), "CAP_")
	if i := slices.Index(capabilityNames(), short); i >= 0 {
		return uint(i), nil
	}
	return 0, spec.Errorf(spec.ErrInvalid, "cannot use capability %q: there is none of that name", name)
}

// CheckCapability returns an error if name ("NET_ADMIN", "CAP_NET_ADMIN",
// "ALL", in any case) is unknown.
func CheckCapability(name string) error {
	if strings.EqualFold(name, "ALL") {
		return nil
	}
	_, err := capabilityNumber(name)
	return err
}

// capabilities returns the sorted numbers that a policy leaves: dockerd's
// default set (all if privileged), without drop, with add. ALL in add is
// every capability but the dropped ones; ALL in drop leaves the added ones.
func capabilities(p Policy) ([]uint, error) {
	var set uint64
	const all = 1<<41 - 1 // CAP_LAST_CAP is 40 since Linux 5.9
	for _, name := range defaultCapabilities() {
		n, err := capabilityNumber(name)
		if err != nil {
			return nil, err
		}
		set |= 1 << n
	}
	add, addAll, err := capabilitySet(p.CapAdd)
	if err != nil {
		return nil, err
	}
	drop, dropAll, err := capabilitySet(p.CapDrop)
	if err != nil {
		return nil, err
	}
	switch {
	case p.Privileged:
		set = all
	case addAll && dropAll:
		return nil, spec.Errorf(spec.ErrInvalid, "cannot both add and drop ALL capabilities")
	case addAll:
		set = all &^ drop
	case dropAll:
		set = add
	default:
		set = set&^drop | add
	}
	return numbers(set), nil
}

// Holds reports whether the policy leaves a capability, by its name.
func (p Policy) Holds(name string) bool {
	n, err := capabilityNumber(name)
	if err != nil {
		return false
	}
	left, err := capabilities(p)
	return err == nil && slices.Contains(left, n)
}

func capabilitySet(names []string) (set uint64, all bool, err error) {
	for _, name := range names {
		if strings.EqualFold(name, "ALL") {
			all = true
			continue
		}
		n, err := capabilityNumber(name)
		if err != nil {
			return 0, false, err
		}
		set |= 1 << n
	}
	return set, all, nil
}

func numbers(set uint64) []uint {
	var out []uint
	for n := range uint(64) {
		if set&(1<<n) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// names gives "CAP_…" for numbers, as seccomp profiles write them.
func names(caps []uint) []string {
	known := capabilityNames()
	out := make([]string, 0, len(caps))
	for _, n := range caps {
		if int(n) < len(known) {
			out = append(out, fmt.Sprintf("CAP_%s", known[n]))
		}
	}
	return out
}
