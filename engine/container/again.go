package container

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// leftKinds are the namespaces that a run can leave to the next one, in the order
// of setns(2). Its network namespace is held by others anyway, its pid namespace
// only by an init.
var leftKinds = []string{"cgroup", "ipc", "uts", "pid", "mnt"}

// Left are the open namespaces that a run leaves to the next one.
type Left struct {
	files []*os.File // by leftKinds
	init  bool
}

// OpenLeft opens those of a container's program; init says that it has one that
// can outlive the program. Whoever opens by number makes sure afterwards that it
// was that process.
func OpenLeft(pid int, init bool) (*Left, error) {
	dir, err := openProcess(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	l := &Left{init: init}
	for _, kind := range leftKinds {
		f, err := openNamespace(dir, kind)
		if err == nil {
			l.files = append(l.files, f)
			err = checkOwner(f)
		}
		if err != nil {
			l.Close()
			return nil, err
		}
	}
	return l, nil
}

// checkOwner refuses a namespace that belongs to another user namespace than ours,
// as that of a program which has unshared both, ioctl_ns(2).
func checkOwner(namespace *os.File) error {
	var ours, owner unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &ours); err != nil {
		return err
	}
	fd, err := unix.IoctlRetInt(int(namespace.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &owner); err != nil {
		return err
	}
	if owner.Dev != ours.Dev || owner.Ino != ours.Ino {
		return errors.New("its program is in namespaces of its own")
	}
	return nil
}

// Init reports whether the pid namespace is among them.
func (l *Left) Init() bool { return l != nil && l.init }

// Mounts is the mount namespace; it stays of Left.
func (l *Left) Mounts() *os.File { return l.files[len(l.files)-1] }

// Close lets go of what nothing else holds; nil has nothing.
func (l *Left) Close() {
	if l != nil {
		CloseFiles(l.files)
	}
}

// capSysAdmin is who may mount, capabilities(7).
const capSysAdmin = 21

// CanLeave reports whether a container can be started again where its last run
// was: not if what it mounted may be another's, if its processes outlive the first
// one, or if they may look into those that we send there (ptrace(2)).
func CanLeave(b spec.Blueprint) bool {
	rights := Policy(b)
	return !b.Privileged && !b.HostPID && b.PIDMode == "" && !rights.Holds("SYS_ADMIN") && !rights.Holds("SYS_PTRACE")
}

// PrepareAgain makes the recipe of a container that is started again in the
// namespaces that its last run left. It fails if what is mounted there is not
// just what Prepare would have mounted now. Of in, Root is not used.
func PrepareAgain(in Inputs, left *Left, confiner *confine.Confiner) (*Start, error) {
	host, err := openHost(in.Mounts)
	if err != nil {
		return nil, err
	}
	defer host.close()
	s := &Start{}
	err = InMountNamespace(left.Mounts(), false, func(root *tree.Root) error {
		id, err := LookUpUser(root, in.Process.User, in.Blueprint.GroupAdd)
		if err != nil {
			return err
		}
		n := recipe.Namespaces{PID: !left.init}
		if err := s.begin(recipe.KindAgain, in, id, n, confiner); err != nil {
			return err
		}
		if slices.Contains(s.Recipe.Process.Bounding, capSysAdmin) {
			return errors.New("its processes may change its mounts")
		}
		if err := sameDev(root, in, s.Recipe.Devices); err != nil {
			return err
		}
		return host.sameMounts(root, in.Mounts)
	})
	if err != nil {
		return nil, err
	}
	for i, f := range left.files {
		if leftKinds[i] == "pid" && !left.init {
			continue // it ends with the program
		}
		s.Recipe.Namespaces.Join = append(s.Recipe.Namespaces.Join, recipe.Join{Type: leftKinds[i], File: s.add(f)})
	}
	outside := func(name string) bool { return !inProc(name) }
	s.Recipe.MaskedPaths = slices.DeleteFunc(s.Recipe.MaskedPaths, outside)
	s.Recipe.ReadonlyPaths = slices.DeleteFunc(s.Recipe.ReadonlyPaths, outside)
	return s, nil
}
