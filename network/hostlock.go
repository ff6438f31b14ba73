package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// HostLock is held during what is one per host: choosing a subnet until its
// bridge stands, and turning forwarding on and off. Several engines on one host
// share it.
//
//	<dir>/host.lock            flock
//	<dir>/forward/prior        ip_forward as it was before the first user
//	<dir>/forward/closed       the links that we do not route between
//	<dir>/forward/users/<tag>  one file per user
//	<dir>/forward6/…           the same of IPv6
//
// All begin with the boot id: after a reboot the host's settings are
// fresh, while the folder may have survived.
type HostLock struct {
	dir  string
	file *os.File
}

// LockHost waits for the lock below dir (0700, made if missing), normally
// /run/mycompose.
func LockHost(dir string) (*HostLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot lock the host: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "host.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the host: %w", err)
	}
	err = retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) })
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot lock the host: %w", err)
	}
	return &HostLock{dir: dir, file: f}, nil
}

// Unlock lets the next one in.
func (l *HostLock) Unlock() error { return l.file.Close() }

// Forward turns on IPv4 forwarding of h for the user tag and remembers what it
// was before the first user. Repeating it is success.
func (l *HostLock) Forward(h *Host, tag string) error {
	if err := l.forward(h, tag); err != nil {
		return fmt.Errorf("cannot turn on forwarding: %w", err)
	}
	return nil
}

func (l *HostLock) forward(h *Host, tag string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.usersDir(forward4), 0o700); err != nil {
		return err
	}
	users, err := l.users(forward4, boot)
	if err != nil {
		return err
	}
	if _, known := readStamped(l.priorFile(forward4), boot); len(users) == 0 && !known {
		var prior string
		err := h.inside(func() (err error) {
			prior, err = readSysctl("ipv4/ip_forward")
			return err
		})
		if err != nil {
			return err
		}
		if err := writeStamped(l.priorFile(forward4), boot, prior); err != nil {
			return err
		}
	}
	// Links that come while somebody forwards are closed as they come (Shut).
	if !slices.Contains(users, tag) {
		if err := l.closeRouter(h, forward4, boot); err != nil {
			return err
		}
	}
	// The user's file stands before the setting: a crash between the two must
	// not lose the way back.
	if err := writeStamped(filepath.Join(l.usersDir(forward4), tag), boot, ""); err != nil {
		return err
	}
	return h.inside(sysctl{"ipv4/ip_forward", "1", false}.write)
}

// Release ends the use of forwarding by tag; the last user restores what was
// before the first, unless others rely on it by now. going are bridges that are
// about to go. Repeating it is success.
func (l *HostLock) Release(h *Host, tag string, going ...string) error {
	if err := l.release(h, tag, going); err != nil {
		return fmt.Errorf("cannot give forwarding back: %w", err)
	}
	return nil
}

func (l *HostLock) release(h *Host, tag string, going []string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	users, err := l.users(forward4, boot)
	if err != nil {
		return err
	}
	mine := false
	for _, u := range users {
		mine = mine || u == tag
	}
	last := len(users) == 0 || mine && len(users) == 1
	needed := false
	if last {
		if needed, err = l.restore(h, forward4, boot, tag, going); err != nil {
			return err
		}
	}
	err = os.Remove(filepath.Join(l.usersDir(forward4), tag))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if last && !needed {
		return os.RemoveAll(filepath.Join(l.dir, forward4))
	}
	return nil
}

// Unguard takes out the routing rules of tag that an earlier build made; none is
// success. Those that all engines of such a build share go with the last of theirs.
func (l *HostLock) Unguard(h *Host, tag string) error {
	if err := h.unguard(tag); err != nil {
		return fmt.Errorf("cannot take out routing rules of an earlier build: %w", err)
	}
	return nil
}

// Folders of the settings of which the prior value is kept.
const (
	forward4 = "forward"
	forward6 = "forward6"
)

func (l *HostLock) usersDir(setting string) string  { return filepath.Join(l.dir, setting, "users") }
func (l *HostLock) priorFile(setting string) string { return filepath.Join(l.dir, setting, "prior") }

// users are those of this boot.
func (l *HostLock) users(setting, boot string) ([]string, error) {
	entries, err := os.ReadDir(l.usersDir(setting))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, e := range entries {
		if _, ok := readStamped(filepath.Join(l.usersDir(setting), e.Name()), boot); ok {
			tags = append(tags, e.Name())
		}
	}
	return tags, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

func writeStamped(path, boot, value string) error {
	return os.WriteFile(path, []byte(boot+"\n"+value), 0o600)
}

// readStamped gives the value of a file written in this boot.
func readStamped(path, boot string) (string, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	return strings.CutPrefix(string(b), boot+"\n")
}
