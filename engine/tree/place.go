package tree

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Placer puts files into a root so that whoever watches a folder in it sees one
// event for each, rename(2): a file is written in a hidden folder at the top of
// the same mount, and moved to its place whole. Nobody ever sees half a file,
// and nobody sees the file missing.
//
//	source ──▶ <top of the mount>/.mycompose-sync/N ──rename──▶ place
//
// The way to a place may lead over mounts, and through links only within the
// root's own mount: a link that the container made leads into no volume and no
// bind mount. A place that is a mount itself is refused.
//
// A Placer uses no path below /proc, so it works in a mount namespace that is
// not the caller's own. It belongs to one goroutine.
type Placer struct {
	root  *Root
	owner Owner // of what is new; its Mode is not used
	mount uint64
	dirs  map[string]place
	// stages are the hidden folders by mount, hidden is their name.
	stages map[uint64]stage
	hidden string
	count  int
}

// place is an open folder and the mount that it is on.
type place struct {
	fd    int
	mount uint64
}

// stage is a hidden folder and the folder that holds it.
type stage struct{ fd, parent int }

// sectorSize is the unit of st_blocks, stat(3type).
const sectorSize = 512

// stageName is the hidden folder's.
const stageName = ".mycompose-sync"

// ErrMountPoint is returned for a place that something is mounted on.
var ErrMountPoint = errors.New("something is mounted there")

// ErrOtherMount is returned where a link leads into another mount.
var ErrOtherMount = errors.New("a link on the way leads into another mount")

// Placer makes one. owner is that of files and folders where nothing stood;
// what is replaced hands its owner on. Several that work in one root at the same
// time have different numbers.
func (r *Root) Placer(owner Owner, number int) (*Placer, error) {
	mount, err := mountOf(r.fd)
	if err != nil {
		return nil, fmt.Errorf("cannot look at the root: %w", err)
	}
	hidden := stageName
	if number > 0 {
		hidden += "-" + strconv.Itoa(number)
	}
	return &Placer{root: r, owner: owner, mount: mount, dirs: map[string]place{}, stages: map[uint64]stage{}, hidden: hidden}, nil
}

// Close removes the hidden folders.
func (p *Placer) Close() error {
	var errs []error
	for _, s := range p.stages {
		unix.Close(s.fd)
		errs = append(errs, removeAt(s.parent, p.hidden))
		unix.Close(s.parent)
	}
	for _, d := range p.dirs {
		unix.Close(d.fd)
	}
	p.stages, p.dirs = nil, nil
	return errors.Join(errs...)
}

// mountOf is the id of the mount that a descriptor is on, statx(2).
func mountOf(fd int) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0, err
	}
	return st.Mnt_id, nil
}

// dir opens a folder, and makes what is missing of it if that is wanted.
func (p *Placer) dir(name string, create bool) (place, error) {
	if d, ok := p.dirs[name]; ok {
		return d, nil
	}
	d, err := p.openDir(name)
	if errors.Is(err, unix.ENOENT) && create && name != "." {
		d, err = p.makeDir(name)
	}
	if err != nil {
		return d, err
	}
	p.dirs[name] = d
	return d, nil
}

func (p *Placer) openDir(name string) (place, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(p.root.fd, name, &how)
	linked := errors.Is(err, unix.ELOOP)
	if err != nil { // through a link, or the kernel asks for another try
		fd, err = p.root.openat2(name, flags, 0)
	}
	if err != nil {
		return place{}, err
	}
	d := place{fd: fd}
	if d.mount, err = mountOf(fd); err == nil && linked && d.mount != p.mount {
		err = ErrOtherMount
	}
	if err != nil {
		unix.Close(fd)
	}
	return d, err
}

func (p *Placer) makeDir(name string) (place, error) {
	above, base := split(name)
	parent, err := p.dir(above, true)
	if err != nil {
		return place{}, err
	}
	fd, err := mkdirAt(parent.fd, base, 0o755, p.owner.UID, p.owner.GID)
	if err == unix.EEXIST { // a link that leads nowhere, or a racing mkdir
		return p.openDir(name)
	}
	return place{fd, parent.mount}, err
}

// stage is the hidden folder on the mount of d.
func (p *Placer) stage(name string, d place) (int, error) {
	if s, ok := p.stages[d.mount]; ok {
		return s.fd, nil
	}
	top, err := p.top(name, d)
	if err != nil {
		return -1, err
	}
	parent, err := unix.FcntlInt(uintptr(top), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, err
	}
	err = removeAt(parent, p.hidden) // of one that was killed
	fd := -1
	if err == nil {
		fd, err = mkdirAt(parent, p.hidden, 0o700, 0, 0)
	}
	if err != nil {
		unix.Close(parent)
		return -1, err
	}
	p.stages[d.mount] = stage{fd, parent}
	return fd, nil
}

// top is the first folder on the way to name that is on d's mount.
func (p *Placer) top(name string, d place) (int, error) {
	if d.mount == p.mount {
		return p.root.fd, nil
	}
	at := ""
	for element := range strings.SplitSeq(name, "/") {
		at = path.Join(at, element)
		above, err := p.dir(at, false)
		if err != nil {
			return -1, err
		}
		if above.mount == d.mount {
			return above.fd, nil
		}
	}
	return d.fd, nil
}

// Put puts what is open as from: a regular file with its content, permissions
// and time of change (nanoseconds). compare leaves a file of the same content
// alone. changed reports whether anything was.
func (p *Placer) Put(target string, from *os.File, compare bool) (changed bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, ErrNotRegular
	}
	name, base := split(target)
	d, err := p.into(name, base)
	if err != nil {
		return false, err
	}
	owner, there, err := p.replaced(d, base)
	if err != nil {
		return false, err
	}
	if compare && there.Mode&unix.S_IFMT == unix.S_IFREG && there.Size == st.Size && there.Mode&0o777 == st.Mode&0o777 {
		same, err := sameContent(d.fd, base, from)
		if err != nil || same {
			return false, err
		}
	}
	return true, p.move(name, base, d, func(stage int, temp string) error {
		fd, err := createAt(stage, temp)
		if err != nil {
			return err
		}
		out := os.NewFile(uintptr(fd), temp)
		if st.Blocks*sectorSize < st.Size {
			err = copySparse(from, out, st.Size)
		} else {
			_, err = io.Copy(out, from)
		}
		if err == nil {
			err = setOwnerMode(fd, Owner{Mode: st.Mode & 0o777, UID: owner.UID, GID: owner.GID})
		}
		if err == nil {
			err = futimens(fd, [2]unix.Timespec{st.Mtim, st.Mtim})
		}
		return errors.Join(err, out.Close())
	})
}

// Link puts a symbolic link.
func (p *Placer) Link(target, leads string, compare bool) (changed bool, err error) {
	name, base := split(target)
	d, err := p.into(name, base)
	if err != nil {
		return false, err
	}
	owner, there, err := p.replaced(d, base)
	if err != nil {
		return false, err
	}
	if compare && there.Mode&unix.S_IFMT == unix.S_IFLNK {
		if now, err := readlinkAt(d.fd, base); err != nil || now == leads {
			return false, err
		}
	}
	return true, p.move(name, base, d, func(stage int, temp string) error {
		if err := unix.Symlinkat(leads, stage, temp); err != nil {
			return err
		}
		return unix.Fchownat(stage, temp, int(owner.UID), int(owner.GID), unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Folder makes a folder with these permissions; one that is there stays as it
// is.
func (p *Placer) Folder(target string, mode uint32) (changed bool, err error) {
	name := strings.TrimPrefix(path.Clean("/"+target), "/")
	if name == "" {
		return false, nil
	}
	if _, err := p.dir(name, false); err == nil || !errors.Is(err, unix.ENOENT) {
		return false, err
	}
	d, err := p.dir(name, true)
	if err != nil {
		return false, err
	}
	// The descriptor is O_PATH or not; the way over the name always works.
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true, err
	}
	defer unix.Close(fd)
	return true, unix.Fchmod(fd, mode&0o777)
}

// into opens the folder that base goes into.
func (p *Placer) into(name, base string) (place, error) {
	if base == "" {
		return place{}, ErrMountPoint
	}
	return p.dir(name, true)
}

// replaced is the owner that base in d hands on, and what it is; the zero
// Stat_t if nothing is there.
func (p *Placer) replaced(d place, base string) (Owner, unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return p.owner, unix.Stat_t{}, nil
	case err != nil:
		return p.owner, st, err
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		// Only an empty one makes room: what is in it is the container's.
		if _, err := p.removeFolder(d, base, ""); err != nil {
			return p.owner, st, err
		}
		if unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			return p.owner, st, unix.EISDIR
		}
		return p.owner, unix.Stat_t{}, nil
	}
	return Owner{UID: st.Uid, GID: st.Gid}, st, nil
}

// move has something made in the hidden folder and moves it to its place.
func (p *Placer) move(name, base string, d place, create func(stage int, temp string) error) error {
	stage, err := p.stage(name, d)
	if err != nil {
		return fmt.Errorf("cannot stage: %w", err)
	}
	p.count++
	temp := strconv.Itoa(p.count)
	err = create(stage, temp)
	if err == nil {
		err = unix.Renameat(stage, temp, d.fd, base)
	}
	if err != nil {
		unix.Unlinkat(stage, temp, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return ErrMountPoint
	}
	return err
}
