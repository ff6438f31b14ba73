package folder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mode of a lock, flock(2).
type Mode int

const (
	Shared    Mode = unix.LOCK_SH
	Exclusive Mode = unix.LOCK_EX
)

// ErrLocked: somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock is a held flock. It ends with Unlock, or when the last process that
// inherited its file has ended.
type Lock struct{ file *os.File }

// File is the open lock file, to be inherited by a process that shall hold the
// lock too.
func (l *Lock) File() *os.File { return l.file }

// Unlock lets go of the lock in this process; a process that inherited File
// holds it on.
func (l *Lock) Unlock() error { return l.file.Close() }

// TryLockFile takes the lock of a file, which is made if missing. It returns
// ErrLocked if it is held. A link or an empty folder in its place is removed: no
// lock of ours is one.
func TryLockFile(path string, mode Mode) (*Lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if (errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EISDIR)) && os.Remove(path) == nil {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		err = flock(file, int(mode)|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, ErrLocked)
		}
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		if IsAt(file, path) {
			return &Lock{file}, nil
		}
		file.Close() // its holder removed it between open and flock
	}
}

// LockFile waits for the lock of a file until ctx ends.
func LockFile(ctx context.Context, path string, mode Mode) (*Lock, error) {
	// flock(2) cannot be interrupted by a context, so it is asked again.
	pause := time.Millisecond
	for {
		lock, err := TryLockFile(path, mode)
		if !errors.Is(err, ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot lock %s: %w", path, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// IsAt reports whether path still names the open file.
func IsAt(file *os.File, path string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(opened, there)
}

// flock keeps the file pollable, which Fd would not.
func flock(file *os.File, how int) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		for {
			lockErr = unix.Flock(int(fd), how)
			if lockErr != unix.EINTR {
				return
			}
		}
	})
	return errors.Join(err, lockErr)
}

// TakeDaemonLock is called by the daemon before anything else: it holds the
// lock for life and its pid stands in the file for the keeper to read.
func TakeDaemonLock(p Place) (*Lock, error) {
	// DaemonPID takes the lock for an instant, so one refusal says little.
	var lock *Lock
	var err error
	for range 50 {
		lock, err = TryLockFile(p.DaemonLock(), Exclusive)
		if !errors.Is(err, ErrLocked) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	pid := []byte(fmt.Sprintf("%-10d\n", os.Getpid())) // one length: no old digits remain
	if _, err := lock.file.WriteAt(pid, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write %s: %w", p.DaemonLock(), err), lock.Unlock())
	}
	return lock, nil
}

// DaemonPID returns the pid of the process that holds the daemon's lock, 0 if
// nobody does.
func DaemonPID(p Place) (int, error) {
	lock, err := TryLockFile(p.DaemonLock(), Shared)
	if err == nil {
		return 0, lock.Unlock()
	}
	if !errors.Is(err, ErrLocked) {
		return 0, err
	}
	raw, err := os.ReadFile(p.DaemonLock())
	if err != nil {
		return 0, fmt.Errorf("cannot read the daemon's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, fmt.Errorf("cannot read the daemon's pid: %w", err)
	}
	return pid, nil
}
