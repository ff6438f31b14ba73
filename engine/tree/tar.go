package tree

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// TarOptions direct Tar. The zero value is good.
type TarOptions struct {
	// Follow takes in what a link leads to where name is one.
	Follow bool
	// OneMount leaves out what is mounted below name.
	OneMount bool
	// Top is what name is called in the archive, "" its own last element;
	// "." puts a directory's content at the archive's top.
	Top string
	// Change is called with each header before it is written.
	Change func(*tar.Header)
}

// Tar writes what is at name as an uncompressed tar stream: a directory with
// everything below it, sorted, or one file. Owners, modes, times, hard links,
// symbolic links (as they are), devices, FIFOs and file capabilities are kept;
// sockets are left out. A file that shrinks meanwhile is filled up with zeros.
func (r *Root) Tar(ctx context.Context, to io.Writer, name string, o TarOptions) error {
	follow := unix.O_NOFOLLOW
	if o.Follow {
		follow = 0
	}
	top := node{
		stat: func() (unix.Stat_t, error) { return r.stat(name, follow) },
		open: func(flags int) (int, error) { return r.openat2(name, flags|follow, 0) },
		link: func() (string, error) {
			parent, base, err := r.openParent(path.Clean("/" + name)[1:])
			if err != nil {
				return "", err
			}
			defer unix.Close(parent)
			return readLink(parent, base)
		},
	}
	if o.Top == "" {
		o.Top = path.Base(path.Clean("/" + name))
	}
	p := &packer{ctx: ctx, to: tar.NewWriter(to), o: o, links: map[inode]string{}, buffer: make([]byte, 256<<10)}
	if err := p.entry(top, path.Clean(o.Top), true); err != nil {
		return fmt.Errorf("cannot pack %s: %w", name, err)
	}
	return p.to.Close()
}

// node is a file as it is reached. Nothing is opened but directories and plain
// files: opening a device or a FIFO does something.
type node struct {
	stat func() (unix.Stat_t, error)
	open func(flags int) (int, error)
	link func() (string, error)
}

// child is a node in an open directory.
func child(dir int, base string) node {
	return node{
		stat: func() (st unix.Stat_t, err error) {
			return st, unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		},
		open: func(flags int) (int, error) {
			return unix.Openat(dir, base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		},
		link: func() (string, error) { return readLink(dir, base) },
	}
}

func readLink(dir int, base string) (string, error) {
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, base, target)
	return string(target[:max(n, 0)]), err
}

// packer is the state of one Tar.
type packer struct {
	ctx    context.Context
	to     *tar.Writer
	o      TarOptions
	mount  uint64
	links  map[inode]string // first name of a file with several
	buffer []byte
}

// entry packs a node and what is below it. One that is gone meanwhile is left
// out, but for the top.
func (p *packer) entry(n node, name string, top bool) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	st, err := n.stat()
	if errors.Is(err, unix.ENOENT) && !top {
		return nil
	}
	if err != nil {
		return err
	}
	header, err := tarHeader(n, name, &st)
	if header == nil || err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
		id := inode{st.Dev, st.Ino}
		if first, known := p.links[id]; known {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		} else {
			p.links[id] = name
		}
	}
	switch header.Typeflag {
	case tar.TypeReg:
		return p.regular(n, header)
	case tar.TypeDir:
		return p.directory(n, header, name, top)
	}
	return p.write(header)
}

func (p *packer) write(header *tar.Header) error {
	if header.Name == "./" { // of the content of a directory: not itself
		return nil
	}
	if p.o.Change != nil {
		p.o.Change(header)
	}
	return p.to.WriteHeader(header)
}

// regular packs a file; what it is now counts, not what it was.
func (p *packer) regular(n node, header *tar.Header) error {
	fd, err := n.open(unix.O_RDONLY | unix.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", header.Name, err)
	}
	f := os.NewFile(uintptr(fd), header.Name)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil // another has taken its place
	}
	header.Size = info.Size()
	if value := fileCapability(fd); value != nil {
		header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(value)}
	}
	if err := p.write(header); err != nil {
		return err
	}
	for left := header.Size; left > 0; {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		block := p.buffer[:min(left, int64(len(p.buffer)))]
		n, err := io.ReadFull(f, block)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("cannot read %s: %w", header.Name, err)
		}
		clear(block[n:]) // it has shrunk
		if _, err := p.to.Write(block); err != nil {
			return err
		}
		left -= int64(len(block))
	}
	return nil
}

func fileCapability(fd int) []byte {
	value := make([]byte, 64)
	n, err := unix.Fgetxattr(fd, "security.capability", value)
	if err != nil || n <= 0 {
		return nil
	}
	return value[:n]
}

// directory packs a directory and its entries.
func (p *packer) directory(n node, header *tar.Header, name string, top bool) error {
	if err := p.write(header); err != nil {
		return err
	}
	fd, err := n.open(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	dir := os.NewFile(uintptr(fd), name)
	defer dir.Close()
	mount, err := mountOf(fd)
	if err != nil {
		return err
	}
	switch {
	case top:
		p.mount = mount
	case p.o.OneMount && mount != p.mount:
		return nil
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, base := range names {
		if err := p.entry(child(fd, base), path.Join(name, base), false); err != nil {
			return err
		}
	}
	return nil
}

// tarHeader describes a node; nil for a socket.
func tarHeader(n node, name string, st *unix.Stat_t) (*tar.Header, error) {
	h := &tar.Header{
		Name: name, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid),
		ModTime: time.Unix(st.Mtim.Unix()), Format: tar.FormatPAX,
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		h.Typeflag = tar.TypeReg
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case unix.S_IFLNK:
		target, err := n.link()
		if err != nil {
			return nil, err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeChar
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		return nil, nil
	}
	return h, nil
}
