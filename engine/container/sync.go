package container

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// OpenMountNamespace opens the mount namespace of a container's first process.
// Whoever opens by number makes sure afterwards that it was that process.
func OpenMountNamespace(pid int) (*os.File, error) {
	dir, err := openProcess(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	return openNamespace(dir, "mnt")
}

// InMountNamespace has f work on a container's files as the container sees
// them, mounts included. Only a thread inside may: the kernel keeps a rename
// from moving a mount away only for mounts of the caller's own namespace
// (rename(2), EBUSY). For a read-only root f gets a writable clone of the tree.
//
// The thread ends with f; f starts no goroutine that touches the files. Nothing of
// ours is in the namespace any more when it returns: what is mounted there ends
// with its last user, and an overlay must end before the next one is mounted over
// the same folders.
func InMountNamespace(ns *os.File, readOnly bool, f func(root *tree.Root) error) error {
	done := make(chan error, 1)
	go enter(ns, readOnly, f, done)
	return <-done
}

func enter(ns *os.File, readOnly bool, f func(root *tree.Root) error, done chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread cannot end; while it is held here the next
		// goroutine gets another one.
		inner := make(chan error, 1)
		go enter(ns, readOnly, f, inner)
		done <- <-inner
		runtime.UnlockOSThread()
		return
	}
	// Still locked at its end: the thread goes with it.
	done <- inside(ns, readOnly, f)
}

func inside(ns *os.File, readOnly bool, f func(root *tree.Root) error) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("cannot leave our folder: %w", err)
	}
	// That of the main thread, which never leaves it.
	own, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open our mounts: %w", err)
	}
	defer unix.Close(own)
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot enter the container's mounts: %w", err)
	}
	// Its end may come later than our answer. A failure leaves it to that.
	defer func() { _ = unix.Setns(own, unix.CLONE_NEWNS) }()
	root, err := openRoot(readOnly)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// openRoot opens the root of the calling thread.
func openRoot(readOnly bool) (*tree.Root, error) {
	if !readOnly {
		return tree.Open("/")
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return nil, fmt.Errorf("cannot clone the read-only root: %w", err)
	}
	defer unix.Close(fd)
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	if err != nil {
		return nil, fmt.Errorf("cannot make the clone of the root writable: %w", err)
	}
	return tree.FromFD(fd)
}

// Sources are the open folders of this host that changes name. They are opened
// before the thread enters a container's mounts, where their paths mean others.
type Sources map[string]*tree.Root

// OpenSources opens those of changes; one that is gone is left out.
func OpenSources(changes []spec.FileChange) (Sources, error) {
	s := Sources{}
	for _, c := range changes {
		if _, known := s[c.Root]; known || c.Remove {
			continue
		}
		root, err := tree.Open(c.Root)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s[c.Root] = root
	}
	return s, nil
}

// Close closes the folders.
func (s Sources) Close() {
	for _, root := range s {
		root.Close() // nothing was written
	}
}

// Place applies changes to a container's root file system, in order, with one
// result for each. What is new belongs to the container's user.
func (s Sources) Place(root *tree.Root, user string, changes []spec.FileChange) ([]spec.FileResult, error) {
	results := make([]spec.FileResult, len(changes))
	return results, s.place(root, user, changes, results, 0)
}

// place is Place of some changes; of several that run at the same time each has a
// number of its own.
func (s Sources) place(root *tree.Root, user string, changes []spec.FileChange, results []spec.FileResult, number int) error {
	owner := tree.Owner{}
	if user != "" {
		id, err := LookUpUser(root, user, nil)
		if err != nil {
			return err
		}
		owner.UID, owner.GID = id.UID, id.GID
	}
	placer, err := root.Placer(owner, number)
	if err != nil {
		return err
	}
	for i, c := range changes {
		results[i] = s.placeOne(placer, c)
	}
	return placer.Close()
}

// PlaceInside is Place in a mount namespace (see InMountNamespace). Of many files
// several are put at the same time, once folders, links and removals are done:
// making a file is where the time goes.
func (s Sources) PlaceInside(ns *os.File, readOnly bool, user string, changes []spec.FileChange) ([]spec.FileResult, error) {
	files := s.files(changes)
	workers := min(runtime.GOMAXPROCS(0), len(files)/filesEach)
	if workers < 2 {
		files, workers = nil, 0
	}
	order := make([]int, 0, len(changes)) // of changes: the files last
	for i := range changes {
		if _, late := slices.BinarySearch(files, i); !late {
			order = append(order, i)
		}
	}
	ordered := make([]spec.FileChange, 0, len(changes))
	for _, i := range append(order, files...) {
		ordered = append(ordered, changes[i])
	}
	done := make([]spec.FileResult, len(changes))
	part := func(from, to, number int) error {
		if from == to {
			return nil
		}
		return InMountNamespace(ns, readOnly, func(root *tree.Root) error {
			return s.place(root, user, ordered[from:to], done[from:to], number)
		})
	}
	if err := part(0, len(order), 0); err != nil {
		return nil, err
	}
	var group errgroup.Group
	for w := range workers {
		group.Go(func() error {
			return part(len(order)+len(files)*w/workers, len(order)+len(files)*(w+1)/workers, w)
		})
	}
	err := group.Wait()
	results := make([]spec.FileResult, len(changes))
	for at, i := range append(order, files...) {
		results[i] = done[at]
	}
	return results, err
}

// filesEach is how many files are worth a thread of their own.
const filesEach = 32

// files are the indexes of the changes that put a regular file.
func (s Sources) files(changes []spec.FileChange) (indexes []int) {
	for i, c := range changes {
		if c.Remove || s[c.Root] == nil {
			continue
		}
		st, err := s[c.Root].Lstat(c.Path)
		if err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (s Sources) placeOne(p *tree.Placer, c spec.FileChange) spec.FileResult {
	changed, err := false, error(nil)
	if c.Remove {
		var wanted func(*os.File, string) (bool, error)
		if c.Digest != "" {
			wanted = func(f *os.File, link string) (bool, error) { return hasDigest(f, link, c.Digest) }
		}
		changed, err = p.Remove(c.Target, wanted)
	} else {
		from := s[c.Root]
		if from == nil {
			return spec.FileResult{Gone: true}
		}
		source, openErr := from.OpenSource(c.Path)
		if errors.Is(openErr, fs.ErrNotExist) || errors.Is(openErr, unix.ENOTDIR) {
			return spec.FileResult{Gone: true}
		}
		if openErr != nil {
			return spec.FileResult{Error: fmt.Sprintf("cannot read %s/%s: %v", c.Root, c.Path, openErr)}
		}
		changed, err = put(p, c, source)
	}
	if err != nil {
		return spec.FileResult{Error: fmt.Sprintf("cannot change %s: %v", c.Target, err)}
	}
	return spec.FileResult{Changed: changed}
}

func put(p *tree.Placer, c spec.FileChange, source tree.Source) (bool, error) {
	switch {
	case source.Folder:
		return p.Folder(c.Target, source.Mode)
	case source.File == nil:
		return p.Link(c.Target, source.Link, c.Compare)
	}
	defer source.File.Close()
	return p.Put(c.Target, source.File, c.Compare)
}

// hasDigest reports whether a file, or a link if file is nil, is what
// spec.FileChange.Digest says.
func hasDigest(file *os.File, link, digest string) (bool, error) {
	if file == nil {
		want, ok := strings.CutPrefix(digest, "link:")
		return ok && want == link, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) == digest, nil
}
