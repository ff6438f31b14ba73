package spawn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/recipe"
)

// startStage executes the stage.
func startStage(small *os.File, r *recipe.Recipe, files []*os.File, stdio Stdio) (*Process, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: recipe: %w", r.ID, err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: socketpair: %w", r.ID, err)
	}
	defer unix.Close(pair[0])
	if err := fault.Errno("spawn:fork"); err != nil {
		unix.Close(pair[1])
		return nil, fmt.Errorf("cannot start %s: %w", r.ID, err)
	}
	pid, pidfd, err := fork(small, pair[1], r, files, stdio)
	unix.Close(pair[1])
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", r.ID, err)
	}
	fault.Point("spawn:forked")
	terminal, err := converse(pair[0], body)
	fault.Point("spawn:executed")
	if err != nil {
		if terminal != nil {
			terminal.Close()
		}
		giveUp(pid, pidfd)
		return nil, err
	}
	return &Process{PID: pid, PIDFD: os.NewFile(uintptr(pidfd), "pidfd"), Terminal: terminal}, nil
}

func check(small *os.File, r *recipe.Recipe, files []*os.File, stdio Stdio) error {
	if r.Process.Terminal && (stdio.In != nil || stdio.Out != nil || stdio.Err != nil) {
		return fmt.Errorf("cannot start %s: it has a terminal and cannot have stdio as well", r.ID)
	}
	for _, f := range append([]*os.File{small}, files...) {
		if f == nil {
			return fmt.Errorf("cannot start %s: a descriptor is missing", r.ID)
		}
	}
	// Without its own mount namespace a container would take the host's root.
	joinsMount := slices.ContainsFunc(r.Namespaces.Join, func(j recipe.Join) bool { return j.Type == "mnt" })
	if joins := r.Kind == recipe.KindExec || r.Kind == recipe.KindAgain; joins != joinsMount || joins == r.Namespaces.Mount {
		return fmt.Errorf("cannot start %s: a new container makes a mount namespace, an exec and a container that is started again join one", r.ID)
	}
	if err := indexes(r, len(files)); err != nil {
		return fmt.Errorf("cannot start %s: %w", r.ID, err)
	}
	return sealed(small)
}

// indexes checks every File of the recipe against the number of files.
func indexes(r *recipe.Recipe, count int) error {
	bad := func(f recipe.File, optional bool) bool {
		return int(f) >= count || f < 0 && (f != recipe.None || !optional)
	}
	wrong := r.Gate != nil && bad(*r.Gate, false)
	wrong = wrong || bad(r.Namespaces.Network, true) || bad(r.Root, !r.Namespaces.Mount)
	for _, f := range r.Cgroups {
		wrong = wrong || bad(f, false)
	}
	for _, j := range r.Namespaces.Join {
		wrong = wrong || bad(j.File, false)
	}
	for _, m := range r.Mounts {
		wrong = wrong || m.Kind == recipe.MountTree && bad(m.File, false) ||
			m.Kind == recipe.MountContent && bad(m.ContentFile, false)
	}
	if wrong {
		return errors.New("the recipe names a descriptor that did not come with it")
	}
	return nil
}

// sealed refuses a small program that a container could write to: its init
// shows as /proc/1/exe inside.
func sealed(small *os.File) error {
	if seals, err := unix.FcntlInt(small.Fd(), unix.F_GET_SEALS, 0); err == nil && seals&unix.F_SEAL_WRITE != 0 {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(small.Fd()), &fs); err == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return nil
	}
	return errors.New("cannot start: the small program could be written to; it must be a sealed memfd or lie on a read-only mount")
}

// fork starts the stage as a child of this process.
func fork(small *os.File, channel int, r *recipe.Recipe, files []*os.File, stdio Stdio) (pid, pidfd int, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, -1, err
	}
	defer null.Close()
	fds := make([]uintptr, 0, recipe.FDFirst+len(files))
	for _, f := range []*os.File{stdio.In, stdio.Out, stdio.Err} {
		if f == nil {
			f = null
		}
		fds = append(fds, f.Fd())
		// Programs expect stdio that blocks, os.Pipe gives the other kind.
		if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
			return 0, -1, err
		}
	}
	fds = append(fds, small.Fd(), uintptr(channel))
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	attr := &syscall.ProcAttr{
		// Nothing of this process's environment; one processor, so that the
		// stage makes few threads (the container's pids limit counts them).
		Env:   append(fault.Environment(), "GOMAXPROCS=1"),
		Files: fds,
		Sys:   &syscall.SysProcAttr{Setsid: true, Cloneflags: cloneFlags(r), PidFD: &pidfd},
	}
	for _, f := range r.Cgroups {
		var st unix.Stat_t
		if err := unix.Fstat(int(files[f].Fd()), &st); err != nil {
			return 0, -1, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(files[f].Fd())
		}
	}
	err = inPIDNamespace(r, files, func() error {
		pid, err = syscall.ForkExec(fmt.Sprintf("/proc/self/fd/%d", recipe.FDProgram), []string{recipe.StageName, r.ID}, attr)
		return err
	})
	runtime.KeepAlive(files)
	runtime.KeepAlive(stdio)
	runtime.KeepAlive(small)
	if err != nil {
		return 0, -1, fmt.Errorf("execute the stage: %w", err)
	}
	return pid, pidfd, nil
}

func cloneFlags(r *recipe.Recipe) (flags uintptr) {
	if r.Kind == recipe.KindExec {
		return 0
	}
	for _, ns := range []struct {
		wanted bool
		flag   uintptr
	}{
		{r.Namespaces.Mount, unix.CLONE_NEWNS}, {r.Namespaces.PID, unix.CLONE_NEWPID},
		{r.Namespaces.IPC, unix.CLONE_NEWIPC}, {r.Namespaces.UTS, unix.CLONE_NEWUTS},
	} {
		if ns.wanted {
			flags |= ns.flag
		}
	}
	return flags
}

// inPIDNamespace runs f on a thread whose children are born in the pid
// namespace that the recipe joins. A thread that cannot be put back is thrown
// away with its goroutine.
func inPIDNamespace(r *recipe.Recipe, files []*os.File, f func() error) error {
	target := recipe.File(recipe.None)
	for _, join := range r.Namespaces.Join {
		if join.Type == "pid" {
			target = join.File
		}
	}
	if target == recipe.None {
		return f()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		own, err := unix.Open("/proc/thread-self/ns/pid", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			defer unix.Close(own)
			if err = unix.Setns(int(files[target].Fd()), unix.CLONE_NEWPID); err == nil {
				err = f()
				if unix.Setns(own, unix.CLONE_NEWPID) != nil {
					done <- err
					return // still locked: the thread ends
				}
			} else {
				err = fmt.Errorf("enter the pid namespace: %w", err)
			}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// giveUp ends and reaps a stage that failed. A caller that reaps every child
// may have been first.
func giveUp(pid, pidfd int) {
	defer unix.Close(pidfd)
	_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	for {
		_, err := syscall.Wait4(pid, nil, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}
