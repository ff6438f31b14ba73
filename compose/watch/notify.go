package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// notifier reads inotify(7) itself, since fsnotify does not tell of
// CLOSE_WRITE: a file that was written is finished then, so nothing has to wait
// for silence.
type notifier struct {
	file *os.File
	// addWatch is inotify_add_watch(2), hear changes what was read: nil, or a
	// test's.
	addWatch func(fd int, path string, mask uint32) (int, error)
	hear     func([]notice) []notice

	mu     sync.Mutex // guards the maps: read looks names up in them
	byWD   map[int32]string
	byPath map[string]int32
}

// interest is what is heard of: a file written or replaced, moved, made, gone,
// its permissions changed. Opens for reading are not heard of.
const interest = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE |
	unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK | unix.IN_DONT_FOLLOW

// notice is one event.
type notice struct {
	path string
	mask uint32
}

// is reports whether any of the bits is set.
func (n notice) is(bits uint32) bool { return n.mask&bits != 0 }

func newNotifier() (*notifier, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("cannot watch: no inotify instance is left for this user; raise fs.inotify.max_user_instances (sysctl): %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch: inotify_init1: %w", err)
	}
	return &notifier{file: os.NewFile(uintptr(fd), "inotify"), addWatch: unix.InotifyAddWatch, byWD: map[int32]string{}, byPath: map[string]int32{}}, nil
}

func (n *notifier) close() error { return n.file.Close() }

// add watches one folder; one that is watched already is success.
func (n *notifier) add(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.byPath[dir]; known {
		return nil
	}
	raw, err := n.file.SyscallConn()
	if err != nil {
		return err
	}
	var wd int
	var addErr error
	if err := raw.Control(func(fd uintptr) { wd, addErr = n.addWatch(int(fd), dir, interest) }); err != nil {
		return err
	}
	if addErr != nil {
		return addErr
	}
	// The same folder under a new name: it was moved.
	if old, known := n.byWD[int32(wd)]; known {
		delete(n.byPath, old)
	}
	n.byWD[int32(wd)], n.byPath[dir] = dir, int32(wd)
	return nil
}

// watched counts the folders.
func (n *notifier) watched() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.byPath)
}

// forget ends the watching of a folder and of all below it.
func (n *notifier) forget(dir string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	raw, err := n.file.SyscallConn()
	if err != nil {
		return // closed: all watches are gone
	}
	for path, wd := range n.byPath {
		if !under(path, dir) {
			continue
		}
		// One whose folder was deleted is gone already.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) })
		delete(n.byPath, path)
		delete(n.byWD, wd)
	}
}

// bufferSize holds about two thousand events of usual names.
const bufferSize = 64 << 10

// read waits for events. The error is that of a closed notifier.
func (n *notifier) read(buf []byte) ([]notice, error) {
	size, err := n.file.Read(buf)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []notice
	for at := 0; at+unix.SizeofInotifyEvent <= size; {
		wd := int32(le32(buf[at:]))
		mask := le32(buf[at+4:])
		length := int(le32(buf[at+12:]))
		name := strings.TrimRight(string(buf[at+unix.SizeofInotifyEvent:at+unix.SizeofInotifyEvent+length]), "\x00")
		at += unix.SizeofInotifyEvent + length
		dir, known := n.byWD[wd]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			out = append(out, notice{mask: mask})
		case mask&unix.IN_IGNORED != 0:
			if known && n.byPath[dir] == wd {
				delete(n.byPath, dir)
			}
			delete(n.byWD, wd)
		case !known:
		case name == "":
			out = append(out, notice{dir, mask})
		default:
			out = append(out, notice{filepath.Join(dir, name), mask})
		}
	}
	if n.hear != nil {
		out = n.hear(out)
	}
	return out, nil
}

// le32 reads a number as this machine writes it: amd64 and arm64 both put the
// low byte first.
func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// silent names a file system on which changes by others are heard of by
// nobody; "" for one where inotify works. statfs(2).
func silent(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.SMB_SUPER_MAGIC, 0xff534d42, 0xfe534d42:
		return "cifs"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case 0x786f4256:
		return "vboxsf"
	}
	return ""
}
