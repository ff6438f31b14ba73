package stage

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/recipe"
)

// enterCgroups writes "0", the writer, into each v1 tasks file. That moves
// this thread, which is the one that execve(2) leaves; of v2 groups, given as
// folders, the process is a child already.
func (s *stage) enterCgroups() error {
	fault.Point("stage:group")
	defer fault.Point("stage:grouped")
	for _, file := range s.Cgroups {
		var st unix.Stat_t
		if err := unix.Fstat(s.fd(file), &st); err != nil {
			return failed("cgroup", "cannot enter the container's cgroup: %v", err)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		if _, err := unix.Write(s.fd(file), []byte("0")); err != nil {
			return failed("cgroup", "cannot enter the container's cgroup: %v", err)
		}
	}
	return nil
}

// enterNamespaces joins what exists. New mount, pid, ipc and uts namespaces
// were made by the fork, and pid namespaces to be joined were joined by it.
// The oom score is set on the way, while /proc is still the host's.
func (s *stage) enterNamespaces() error {
	if s.Process.OOMScoreAdj != nil {
		if err := setOOMScore(*s.Process.OOMScoreAdj); err != nil {
			return err
		}
	}
	if s.Namespaces.Cgroup {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return failed("unshare", "cannot make a cgroup namespace: %v", err)
		}
	}
	// The other threads of this program share root and working directory
	// with this one until now, which setns(2) of a mount namespace refuses.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return failed("unshare", "cannot part from the other threads: %v", err)
	}
	return s.enterOthers(joinPID)
}

// enterOthers enters namespaces that are there, but for one kind.
func (s *stage) enterOthers(skip string) error {
	if s.Namespaces.Network != recipe.None {
		if err := unix.Setns(s.fd(s.Namespaces.Network), unix.CLONE_NEWNET); err != nil {
			return failed("setns", "cannot enter the network namespace: %v", err)
		}
	}
	for _, join := range s.Namespaces.Join {
		if join.Type == skip {
			continue
		}
		flag, ok := namespaceFlag(join.Type)
		if !ok {
			return failed("setns", "cannot enter a namespace of type %q: there is none", join.Type)
		}
		if err := unix.Setns(s.fd(join.File), flag); err != nil {
			return failed("setns", "cannot enter the %s namespace: %v", join.Type, err)
		}
	}
	return nil
}

// The recipe's names of the cgroup and the pid namespace.
const (
	joinCgroup = "cgroup"
	joinPID    = "pid"
)

func namespaceFlag(kind string) (int, bool) {
	switch kind {
	case "mnt":
		return unix.CLONE_NEWNS, true
	case "ipc":
		return unix.CLONE_NEWIPC, true
	case "uts":
		return unix.CLONE_NEWUTS, true
	case "net":
		return unix.CLONE_NEWNET, true
	case joinPID:
		return unix.CLONE_NEWPID, true
	case joinCgroup:
		return unix.CLONE_NEWCGROUP, true
	}
	return 0, false
}

// setOOMScore writes proc_pid_oom_score_adj(5); lowering it needs
// CAP_SYS_RESOURCE.
func setOOMScore(score int) error {
	err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(score)), 0)
	if os.IsPermission(err) {
		return failed("oom_score_adj", "cannot set oom_score_adj to %d: lowering it needs CAP_SYS_RESOURCE, which this machine does not give", score)
	}
	if err != nil {
		return failed("oom_score_adj", "cannot set oom_score_adj to %d: %v", score, err)
	}
	return nil
}
