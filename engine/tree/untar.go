package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// DefaultMaxBytes bounds the sum of the file sizes of one archive.
	DefaultMaxBytes = 128 << 30
	// DefaultMaxEntries bounds the number of entries of one archive.
	DefaultMaxEntries = 8 << 20

	// maxPadding bounds what may follow the archive's end, in bytes.
	maxPadding = 64 << 20
)

// UntarOptions bound and direct an unpack. The zero value is good.
type UntarOptions struct {
	// MaxBytes bounds the sum of all file sizes, holes included;
	// 0 is DefaultMaxBytes.
	MaxBytes int64
	// MaxEntries bounds their number; 0 is DefaultMaxEntries.
	MaxEntries int64
	// Merged: the directory is not an empty one but an overlay of the layers
	// below with a layer to be as its upper folder. Links of the lower layers
	// lead where they lead in the image, and a whiteout takes away.
	Merged bool
	// Plain: the directory is one that lives, and the archive no layer. Names
	// that a layer has for whiteouts are names; a directory that is there, or
	// that a link leads to, is filled and stays as it is; a directory and
	// another file do not replace each other.
	Plain bool
	// Change is called with each header before it is unpacked; one whose name
	// it makes "" is left out.
	Change func(*tar.Header)
}

// UntarResult says what was unpacked.
type UntarResult struct {
	Entries int64
	Bytes   int64 // sum of file sizes
	// Implied are directories that no entry described and that were made as
	// parents of one, with mode 0755 and owner 0:0, outermost first. Over
	// lower layers they should look like the directory below (see Like).
	Implied []string
}

// ErrLimit is returned when an archive goes over a limit.
var ErrLimit = errors.New("archive is over the limit")

// Untar unpacks the uncompressed tar stream into the directory dirFD, which
// should be empty and visible to nobody else, as a layer for overlayfs (OCI
// image-spec layer.md):
//
//	.wh.NAME        a character device 0:0 NAME (hides it in lower layers)
//	.wh..wh..opq    trusted.overlay.opaque=y on its directory
//
// Owners, modes, set-id bits, extended attributes, times, hard links, device
// nodes and holes are kept. A later entry of the same name replaces the
// earlier one. Names are relative to the directory, absolute ones too; one
// that leaves it by ".." is refused. Missing parents are made. It reads the
// stream to its end, padding included, so that a digest over it is complete.
//
// On an error the directory holds a part of the archive; throw it away.
func Untar(ctx context.Context, dirFD int, stream io.Reader, opts UntarOptions) (UntarResult, error) {
	root, err := FromFD(dirFD)
	if err != nil {
		return UntarResult{}, err
	}
	defer root.Close()
	if opts.MaxBytes == 0 {
		opts.MaxBytes = DefaultMaxBytes
	}
	if opts.MaxEntries == 0 {
		opts.MaxEntries = DefaultMaxEntries
	}
	u := &untar{root: root, opts: opts, parentFD: -1, buffer: make([]byte, 256<<10)}
	defer u.dropParent()
	if err := u.run(ctx, stream); err != nil {
		return u.result, err
	}
	u.result.Implied = u.stillImplied()
	return u.result, nil
}

// untar is the state of one run.
type untar struct {
	root   *Root
	opts   UntarOptions
	result UntarResult
	buffer []byte

	// The directory of the last entry, since most neighbours share it.
	parentFD  int
	parentDir string

	dirTimes  []dirTime       // set last: every new file touches its directory
	described map[string]bool // implied directories an entry described later
	made      map[inode]bool  // what this archive brought, if Merged
}

type dirTime struct {
	name  string
	times [2]unix.Timespec
}

func (u *untar) run(ctx context.Context, stream io.Reader) error {
	archive := tar.NewReader(stream)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("cannot read archive: it is no tar archive, or it is cut off: %w", err)
		}
		if err != nil {
			return fmt.Errorf("cannot read archive: %w", err)
		}
		if err := u.count(header); err != nil {
			return err
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("cannot unpack %q: %w", header.Name, err)
		}
	}
	if err := u.drain(stream); err != nil {
		return err
	}
	return u.setDirTimes()
}

// drain reads what follows the archive's end: padding, and not more than that.
func (u *untar) drain(stream io.Reader) error {
	n, err := io.CopyBuffer(io.Discard, io.LimitReader(stream, maxPadding+1), u.buffer)
	if err != nil {
		return fmt.Errorf("cannot read archive: %w", err)
	}
	if n > maxPadding {
		return fmt.Errorf("%w of %d bytes after its end", ErrLimit, maxPadding)
	}
	return nil
}

func (u *untar) count(header *tar.Header) error {
	if u.result.Entries++; u.result.Entries > u.opts.MaxEntries {
		return fmt.Errorf("%w of %d entries", ErrLimit, u.opts.MaxEntries)
	}
	if header.Size > u.opts.MaxBytes-u.result.Bytes {
		return fmt.Errorf("%w of %d bytes at %q (%d bytes)", ErrLimit, u.opts.MaxBytes, header.Name, header.Size)
	}
	u.result.Bytes += header.Size
	return nil
}

// entry unpacks one entry.
func (u *untar) entry(header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if u.opts.Change != nil {
		if u.opts.Change(header); header.Name == "" {
			return nil
		}
	}
	name, err := cleanName(header.Name)
	if err != nil {
		return err
	}
	if name == "" { // "./": the root's own owner, mode and times
		if header.Typeflag != tar.TypeDir {
			return errors.New("the root is not a directory")
		}
		if u.opts.Plain {
			return nil
		}
		return u.directoryItself(".", u.root.fd, header)
	}
	dir, base := split(name)
	parent, err := u.parent(dir)
	if err != nil {
		return err
	}
	if u.opts.Plain {
		if there, err := u.fits(parent, name, base, header); there || err != nil {
			return err
		}
		return u.create(parent, name, base, header, content)
	}
	switch {
	case strings.HasPrefix(base, whiteoutPrefix) && u.opts.Merged:
		return u.takeAway(parent, base)
	case strings.HasPrefix(base, whiteoutPrefix):
		return u.whiteout(parent, base)
	}
	if err := u.create(parent, name, base, header, content); err != nil || !u.opts.Merged {
		return err
	}
	return u.note(parent, base)
}

// fits reports whether a directory is there already, and refuses an entry that
// would take the place of another kind.
func (u *untar) fits(parent int, name, base string, header *tar.Header) (there bool, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK && header.Typeflag == tar.TypeDir {
		if st, err = u.root.Stat(name); err != nil {
			return false, fmt.Errorf("cannot overwrite non-directory %q with directory", name)
		}
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case isDir && header.Typeflag == tar.TypeDir:
		return true, nil
	case isDir:
		return false, fmt.Errorf("cannot overwrite directory %q with non-directory", name)
	case header.Typeflag == tar.TypeDir:
		return false, fmt.Errorf("cannot overwrite non-directory %q with directory", name)
	}
	return false, nil
}

// cleanName makes name relative and clean; "" is the root.
func cleanName(name string) (string, error) {
	if strings.ContainsRune(name, 0) {
		return "", errors.New("name has a zero byte")
	}
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", errors.New("name leaves the archive")
	}
	if clean == "." {
		return "", nil
	}
	return clean, nil
}

// parent opens dir, makes it if it is missing, and remembers it.
func (u *untar) parent(dir string) (int, error) {
	if u.parentFD >= 0 && u.parentDir == dir {
		return u.parentFD, nil
	}
	u.dropParent()
	fd, made, err := u.root.mkdirAll(dir, 0o755, 0, 0)
	u.result.Implied = append(u.result.Implied, made...)
	if err != nil {
		return -1, fmt.Errorf("cannot open its directory: %w", err)
	}
	u.parentFD, u.parentDir = fd, dir
	return fd, nil
}

func (u *untar) dropParent() {
	if u.parentFD >= 0 {
		unix.Close(u.parentFD)
		u.parentFD = -1
	}
}

// stillImplied leaves out what an entry has described after all.
func (u *untar) stillImplied() []string {
	var left []string
	for _, name := range u.result.Implied {
		if st, err := u.root.Lstat(name); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && !u.described[name] {
			left = append(left, name)
		}
	}
	return left
}

func (u *untar) setDirTimes() error {
	for i := len(u.dirTimes) - 1; i >= 0; i-- {
		d := u.dirTimes[i]
		fd, err := u.root.openat2(d.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			continue // a later entry replaced it
		}
		if err == nil {
			err = futimens(fd, d.times)
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("cannot set times of %q: %w", d.name, err)
		}
	}
	return nil
}

func headerTimes(header *tar.Header) [2]unix.Timespec {
	modified := header.ModTime
	accessed := header.AccessTime
	if accessed.IsZero() {
		accessed = modified
	}
	return [2]unix.Timespec{timespec(accessed), timespec(modified)}
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
