package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/spec"
)

// step is one RUN.
type step struct {
	id       string
	server   *server
	confiner *confine.Confiner
	host     *cgroup.Host
	group    *cgroup.Group
	spawner  spawn.Spawner

	start *container.Start
	undos []func(context.Context) error // in order of making
}

// later keeps f for undo.
func (s *step) later(f func(context.Context) error) { s.undos = append(s.undos, f) }

func (s *step) closeLater(f *os.File) {
	s.later(func(context.Context) error { return f.Close() })
}

// undo gives back all that prepare took, the last first.
func (s *step) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(s.undos) {
		errs = append(errs, f(ctx))
	}
	s.undos = nil
	return errors.Join(errs...)
}

// prepare makes the recipe and everything that it names.
func (s *step) prepare(ctx context.Context, root executor.Mount, mounts []executor.Mount, meta executor.Meta) error {
	if meta.SecurityMode == pb.SecurityMode_INSECURE {
		return errors.New("RUN --security=insecure is not supported")
	}
	if len(meta.CDIDevices) > 0 {
		return errors.New("RUN --device is not supported")
	}
	in := container.Inputs{Blueprint: blueprint(s.id, root, meta), CgroupMounts: s.host.Mounts()}
	in.Process = container.Process{Args: meta.Args, Env: meta.Env, Cwd: meta.Cwd, User: meta.User, Hostname: in.Blueprint.Hostname}
	files, network, err := s.network(ctx, meta)
	if err != nil {
		return err
	}
	in.Network = network
	if in.Root, err = s.root(ctx, root); err != nil {
		return fmt.Errorf("cannot mount the step's root: %w", err)
	}
	s.cleanStubs(in.Root, mounts, meta)
	if in.Mounts, err = s.mounts(ctx, mounts); err != nil {
		return err
	}
	in.Mounts = append(in.Mounts, files...)
	container.Order(in.Mounts)
	if err := s.enterGroup(&in); err != nil {
		return err
	}
	if s.start, err = container.Prepare(in, s.confiner); err != nil {
		return err
	}
	s.start.Recipe.Kind = recipe.KindBuild
	s.later(func(context.Context) error { s.start.Close(); return nil })
	return nil
}

// blueprint says of a step what a container's blueprint would.
func blueprint(id string, root executor.Mount, meta executor.Meta) spec.Blueprint {
	b := spec.Blueprint{ID: id, Hostname: meta.Hostname, ReadOnlyRoot: meta.ReadonlyRootFS || root.Readonly}
	if b.Hostname == "" {
		b.Hostname = "build"
	}
	for _, u := range meta.Ulimit {
		if b.Ulimits == nil {
			b.Ulimits = map[string]spec.Ulimit{}
		}
		b.Ulimits[u.Name] = spec.Ulimit{Soft: u.Soft, Hard: u.Hard}
	}
	return b
}

func (s *step) enterGroup(in *container.Inputs) error {
	// Noted first: a half made group must go too.
	s.later(func(ctx context.Context) error { return s.group.Remove(ctx) })
	group, err := s.host.Create(s.group.Path(), spec.Resources{}, cgroup.DefaultDevices())
	if err != nil {
		return err
	}
	if in.Cgroups, err = group.Procs(); err != nil {
		return err
	}
	for _, f := range in.Cgroups {
		s.closeLater(f)
	}
	return nil
}

// cleanStubs takes away, once the step has ended, the mount points that the
// stage had to make in the root: they are not part of the layer.
func (s *step) cleanStubs(root *os.File, mounts []executor.Mount, meta executor.Meta) {
	all := slices.Clone(mounts)
	for _, dest := range []string{"/proc", "/sys", "/dev"} {
		all = append(all, executor.Mount{Dest: dest})
	}
	dir := "/proc/self/fd/" + strconv.Itoa(int(root.Fd()))
	clean := executor.MountStubsCleaner(context.Background(), dir, all, meta.RemoveMountStubsRecursive)
	s.later(func(ctx context.Context) error {
		untilUnmounted(ctx, root)
		clean()
		return nil
	})
}

// untilUnmounted waits until nothing is mounted on the root's /proc any more.
// The mounts of a step go with its mount namespace, and whoever reads
// /proc/PID/mountinfo at that moment holds it a little longer.
func untilUnmounted(ctx context.Context, root *os.File) {
	ctx, cancel := context.WithTimeout(ctx, unmountTime)
	defer cancel()
	for {
		var st unix.Statx_t
		err := unix.Statx(int(root.Fd()), "proc", unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
		if err != nil || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
			return
		}
		select {
		case <-ctx.Done(): // empty folders stay in the layer
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// run starts the step, passes its output on and waits for its end.
func (s *step) run(ctx context.Context, process executor.ProcessInfo, started func()) (code int, err error) {
	if process.Meta.Tty {
		return 0, errors.New("a build step with a terminal is not supported")
	}
	// One pipe for both: what a person reads keeps its order.
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("cannot start the step: %w", err)
	}
	var copied sync.WaitGroup
	defer copied.Wait()
	defer writer.Close() // first, so that the copy ends; twice does no harm
	copied.Go(func() {
		defer reader.Close()
		_, _ = io.Copy(output(process), reader) // a lost listener is no failure of the step
	})
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	child, err := s.spawner.Start(&s.start.Recipe, s.start.Files, spawn.Stdio{Out: writer, Err: writer})
	if err != nil {
		return notStarted(err, output(process))
	}
	writer.Close() // the child has its own
	defer child.PIDFD.Close()
	started()
	stop := context.AfterFunc(ctx, func() {
		killCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTime)
		defer cancel()
		_ = s.group.Kill(killCtx) // undo kills again and tells
	})
	defer stop()
	return wait(child.PID)
}

// output is where a step's words go.
func output(process executor.ProcessInfo) io.Writer {
	switch {
	case process.Stdout != nil:
		return process.Stdout
	case process.Stderr != nil:
		return process.Stderr
	}
	return io.Discard
}

// notStarted turns "no such program" into the exit code and the message that
// a shell would give.
func notStarted(err error, out io.Writer) (int, error) {
	var failure *spawn.Error
	if !errors.As(err, &failure) || failure.Step != "exec" {
		return 0, err
	}
	_, _ = io.WriteString(out, failure.Text+"\n")
	return failure.Code, nil
}

// wait returns the exit code of a child, 128+n for a signal.
func wait(pid int) (int, error) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return 0, fmt.Errorf("cannot wait for the step: %w", err)
	}
	state, err := p.Wait()
	if err != nil {
		return 0, fmt.Errorf("cannot wait for the step: %w", err)
	}
	return exitCode(state), nil
}
