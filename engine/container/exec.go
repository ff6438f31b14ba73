package container

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// ExecInputs are what a further process in a running container is prepared
// from.
type ExecInputs struct {
	Exec      spec.Exec      // with its ID
	Blueprint spec.Blueprint // the container's
	Process   Process        // the container's
	// PID is the container's first process, as our pid namespace numbers it.
	PID     int
	Cgroups []*os.File // open cgroup.procs; they stay the caller's
}

// joined are the namespaces of an exec, in the order of setns(2): the mount
// namespace last, since the others are opened outside.
var joined = []string{"cgroup", "ipc", "uts", "net", "pid", "mnt"}

// PrepareExec makes the recipe of an exec or a probe.
func PrepareExec(in ExecInputs, confiner *confine.Confiner) (*Start, error) {
	if len(in.Exec.Args) == 0 || in.Exec.Args[0] == "" {
		return nil, spec.Errorf(spec.ErrInvalid, "no command is given")
	}
	s := &Start{OOM: recipe.None}
	p := in.Process
	p.Args = in.Exec.Args
	p.Env = overlayEnv(p.Env, in.Exec.Environment)
	if in.Exec.Terminal {
		p.Env = withDefault(p.Env, "TERM", "xterm")
	}
	if err := checkEnv(p.Env); err != nil {
		return nil, err
	}
	if in.Exec.WorkingDir != "" {
		if !path.IsAbs(in.Exec.WorkingDir) {
			return nil, spec.Errorf(spec.ErrInvalid, "cannot use working directory %q: it must be an absolute path", in.Exec.WorkingDir)
		}
		p.Cwd = path.Clean(in.Exec.WorkingDir)
	}
	groupAdd := in.Blueprint.GroupAdd
	if in.Exec.User != "" {
		p.User, groupAdd = in.Exec.User, nil
	}
	dir, err := openProcess(in.PID)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	id, err := execIdentity(dir, p.User, groupAdd)
	if err != nil {
		return nil, err
	}
	s.Recipe = recipe.Recipe{
		Version: recipe.Version, Kind: recipe.KindExec, ID: in.Exec.ID, Root: recipe.None,
		Process:    process(p, id, in.Blueprint),
		Namespaces: recipe.Namespaces{Network: recipe.None},
	}
	s.Recipe.Process.Terminal = in.Exec.Terminal
	s.Recipe.Process.Rows, s.Recipe.Process.Columns = in.Exec.Rows, in.Exec.Columns
	if s.Recipe.Process.Rlimits, err = confine.Rlimits(in.Blueprint.Ulimits); err != nil {
		return nil, err
	}
	rights := Policy(in.Blueprint)
	rights.Privileged = rights.Privileged || in.Exec.Privileged
	if err := confiner.Apply(&s.Recipe, rights); err != nil {
		return nil, err
	}
	for _, f := range in.Cgroups {
		s.Recipe.Cgroups = append(s.Recipe.Cgroups, s.add(f))
	}
	if err := s.join(dir); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// openProcess opens the folder of a process in /proc: what is opened below it
// is that process's, or fails once it is gone.
func openProcess(pid int) (int, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, spec.Errorf(spec.ErrNotRunning, "container is not running")
	}
	return fd, nil
}

// OpenPIDNamespace opens the pid namespace of a process.
func OpenPIDNamespace(pid int) (*os.File, error) {
	dir, err := openProcess(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	return openNamespace(dir, "pid")
}

func execIdentity(process int, user string, groupAdd []string) (Identity, error) {
	fd, err := unix.Openat(process, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Identity{}, ended(err, "root")
	}
	defer unix.Close(fd)
	root, err := tree.FromFD(fd)
	if err != nil {
		return Identity{}, err
	}
	defer root.Close()
	return LookUpUser(root, user, groupAdd)
}

func (s *Start) join(process int) error {
	for _, kind := range joined {
		f, err := openNamespace(process, kind)
		if err != nil {
			return err
		}
		s.made = append(s.made, f)
		s.Recipe.Namespaces.Join = append(s.Recipe.Namespaces.Join, recipe.Join{Type: kind, File: s.add(f)})
	}
	return nil
}

// openNamespace opens a namespace of a process, namespaces(7).
func openNamespace(process int, kind string) (*os.File, error) {
	fd, err := unix.Openat(process, "ns/"+kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, ended(err, "namespace "+kind)
	}
	return os.NewFile(uintptr(fd), kind), nil
}

// ended says that a process ended under our hands.
func ended(err error, what string) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) {
		return spec.Errorf(spec.ErrNotRunning, "container is not running")
	}
	return fmt.Errorf("cannot open its %s: %w", what, err)
}
