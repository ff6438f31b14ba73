package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

// BecomeKeeper turns this process into the keeper: that is how a service
// manager starts it, which wants to be its parent. It does not return but with
// an error. A keeper that runs already is ended by takeOver first, since there
// is one; daemon and containers find the new one. ready is called when who
// dials is answered.
func BecomeKeeper(ctx context.Context, cfg KeeperConfig, takeOver func(context.Context) error, ready func() error) error {
	pause := time.Millisecond
	for {
		err := tryBecomeKeeper(cfg, ready)
		if !errors.Is(err, folder.ErrLocked) {
			return fmt.Errorf("cannot become the keeper: %w", err)
		}
		if err := takeOver(ctx); err != nil {
			return fmt.Errorf("cannot become the keeper: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot become the keeper: %w", ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

func tryBecomeKeeper(cfg KeeperConfig, ready func() error) error {
	held, err := holdKeeper(cfg)
	if err != nil {
		return err
	}
	defer held.close()
	if err := ready(); err != nil {
		return err
	}
	return execRole([]string{RoleKeeper, KeeperUnit}, cfg.Place.Environment(), held.files())
}

// execRole executes the small program, files[FDSmall-FDBinary], in place of
// this one, with files as the descriptors that a role inherits.
func execRole(args, env []string, files []*os.File) error {
	const above = FDLock + 1
	var fds []int
	for _, f := range files {
		// Fd makes it blocking, which the role undoes.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, above)
		if err != nil {
			return fmt.Errorf("pass %s: %w", f.Name(), err)
		}
		fds = append(fds, fd)
	}
	// Go's own descriptors may have these numbers. From here on there is
	// nothing but execve, or the end of the process.
	for i, fd := range fds {
		if err := unix.Dup3(fd, FDBinary+i, 0); err != nil {
			return fmt.Errorf("pass descriptor %d: %w", FDBinary+i, err)
		}
	}
	return fmt.Errorf("execute %s: %w", args[0], unix.Exec("/proc/self/fd/"+strconv.Itoa(FDSmall), args, env))
}
