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

// unitBase is the first descriptor that the keeper of a unit inherits: Go's own
// have lower numbers, and are in use until the program is another.
const unitBase = 100

// execRole executes the small program, files[FDSmall-FDBinary], in place of
// this one, with files as the descriptors from unitBase on.
func execRole(args, env []string, files []*os.File) error {
	for i, f := range files {
		want := unitBase + i
		// Fd makes it blocking, which the role undoes.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, want)
		if err != nil || fd != want {
			return fmt.Errorf("pass %s as descriptor %d: got %d, %w", f.Name(), want, fd, err)
		}
	}
	program := "/proc/self/fd/" + strconv.Itoa(unitBase+FDSmall-FDBinary)
	return fmt.Errorf("execute %s: %w", args[0], unix.Exec(program, args, env))
}
