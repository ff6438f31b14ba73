// Package doctor says what this host lacks for running containers, each with the
// one line that cures it. It reads /proc, /sys and the state folder's file
// system, needs no daemon, starts nothing and changes nothing.
//
//	Look(root) ──▶ Facts ──▶ Examine ──▶ findings
//
// Examine is pure: tests give it facts of hosts that we do not have.
package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Grade says how bad a finding is.
type Grade string

// The grades: Lacks means that containers, or what the finding names, will not
// work; Weak that it works less well than it could.
const (
	OK    Grade = "ok"
	Weak  Grade = "weak"
	Lacks Grade = "lacks"
)

// Finding is one line.
type Finding struct {
	Grade Grade `json:"grade"`
	// Subject is two words at most: "cgroup memory".
	Subject string `json:"subject"`
	// Text says how it is, Cure what would make it right ("" if it is).
	Text string `json:"text"`
	Cure string `json:"cure,omitempty"`
}

// Worst is the worst grade of some findings.
func Worst(findings []Finding) Grade {
	worst := OK
	for _, f := range findings {
		if f.Grade == Lacks || f.Grade == Weak && worst == OK {
			worst = f.Grade
		}
	}
	return worst
}

// Examine judges a host.
func Examine(f Facts) []Finding {
	var out []Finding
	for _, examine := range []func(Facts) []Finding{
		kernel, rights, namespaces, fileSystems, stateFolder, cgroups, netfilter, links, forwarding,
		neighbours, resolver, limits, inotify, seccomp, programs,
	} {
		out = append(out, examine(f)...)
	}
	return out
}

func ok(subject, format string, args ...any) Finding {
	return Finding{Grade: OK, Subject: subject, Text: fmt.Sprintf(format, args...)}
}

func weak(subject, text, cure string) Finding { return Finding{Weak, subject, text, cure} }

func lacks(subject, text, cure string) Finding { return Finding{Lacks, subject, text, cure} }

// The oldest kernel that we are made for: that of Debian 12.
const oldestMajor, oldestMinor = 6, 1

func kernel(f Facts) []Finding {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); n < 2 {
		return []Finding{weak("kernel", fmt.Sprintf("the version %q cannot be read", f.Kernel), "use Linux 6.1 or newer")}
	}
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return []Finding{lacks("kernel", f.Kernel+" is older than 6.1", "install Linux 6.1 or newer (Debian 12 has it)")}
	}
	return []Finding{ok("kernel", "%s", f.Kernel)}
}

// needed are the capabilities without which nothing runs, by their number in
// capability.h.
var needed = []struct {
	name string
	bit  uint
}{
	{"CAP_CHOWN", 0}, {"CAP_DAC_OVERRIDE", 1}, {"CAP_FOWNER", 3}, {"CAP_KILL", 5}, {"CAP_SETGID", 6}, {"CAP_SETUID", 7},
	{"CAP_SETPCAP", 8}, {"CAP_NET_BIND_SERVICE", 10}, {"CAP_NET_ADMIN", 12}, {"CAP_NET_RAW", 13}, {"CAP_SYS_CHROOT", 18},
	{"CAP_SYS_PTRACE", 19}, {"CAP_SYS_ADMIN", 21}, {"CAP_MKNOD", 27},
}

// sysResource is CAP_SYS_RESOURCE.
const sysResource = 24

func rights(f Facts) []Finding {
	var missing []string
	for _, c := range needed {
		if f.Capabilities>>c.bit&1 == 0 {
			missing = append(missing, c.name)
		}
	}
	switch {
	case f.UID != 0 && len(missing) > 0:
		return []Finding{lacks("rights", "this user is not root", "use sudo mycompose, or log in as root")}
	case len(missing) > 0:
		return []Finding{lacks("rights", "root without "+strings.Join(missing, ", "), "give these capabilities to the container or service that this runs in")}
	case f.Capabilities>>sysResource&1 == 0:
		return []Finding{weak("rights", "without CAP_SYS_RESOURCE ulimits cannot be raised above ours", "give CAP_SYS_RESOURCE")}
	}
	return []Finding{ok("rights", "all capabilities that are needed")}
}

func namespaces(f Facts) []Finding {
	var missing []string
	for _, n := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts"} {
		if !slices.Contains(f.Namespaces, n) {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		return []Finding{lacks("namespaces", "the kernel has no "+strings.Join(missing, ", ")+" namespaces", "use a distribution's kernel")}
	}
	return []Finding{ok("namespaces", "all six")}
}

func seccomp(f Facts) []Finding {
	if !f.Seccomp {
		return []Finding{lacks("seccomp", "the kernel has no seccomp filters", "use a kernel with CONFIG_SECCOMP_FILTER, or security_opt: [seccomp:unconfined]")}
	}
	return []Finding{ok("seccomp", "filters")}
}

func programs(f Facts) []Finding {
	switch {
	case !f.Parts:
		return []Finding{lacks("program", "this binary was built without its parts", "make build")}
	case f.MemfdNoExec >= 2:
		return []Finding{weak("memfd exec", "vm.memfd_noexec is 2: processes do not share one program in memory", "sysctl vm.memfd_noexec=1")}
	}
	return []Finding{ok("memfd exec", "allowed")}
}
