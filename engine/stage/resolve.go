package stage

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many dangling symbolic links are followed while a mount
// point is made, as the kernel's own limit.
const maxLinks = 40

// openIn opens a path below root; nothing in the tree leads out of it.
func openIn(root int, name string, flags uint64) (int, error) {
	return open2(root, name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

// openPlain is openIn for paths that must not hold a symbolic link at all.
func openPlain(root int, name string, flags uint64) (int, error) {
	return open2(root, name, flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
}

func open2(root int, name string, flags, resolve uint64) (int, error) {
	how := &unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(root, name, how)
		// EAGAIN: something was renamed while ".." was resolved.
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// makeDir opens the folder name below root, which it makes if it is missing,
// with its parents (0755, owned by root).
func makeDir(root int, name string) (int, error) {
	return makeIn(root, name, func(parent int, base string) error {
		return unix.Mkdirat(parent, base, 0o755)
	})
}

// makeFile is makeDir for a mount point that is an empty file (0644).
func makeFile(root int, name string) (int, error) {
	return makeIn(root, name, func(parent int, base string) error {
		return unix.Mknodat(parent, base, unix.S_IFREG|0o644, 0)
	})
}

func makeIn(root int, name string, create func(parent int, base string) error) (int, error) {
	for range maxLinks {
		fd, err := openIn(root, name, unix.O_PATH)
		if !errors.Is(err, unix.ENOENT) {
			return fd, err
		}
		next, err := makeMissing(root, name, create)
		if err != nil {
			return -1, err
		}
		name = next
	}
	return -1, unix.ELOOP
}

// makeMissing makes the first missing element of name. It returns the name to
// go on with: the same, or, if the element is a symbolic link to nothing, with
// the link's target in its place.
func makeMissing(root int, name string, create func(parent int, base string) error) (string, error) {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
	for i, part := range parts {
		prefix := "/" + strings.Join(parts[:i+1], "/")
		fd, err := openIn(root, prefix, unix.O_PATH)
		if err == nil {
			unix.Close(fd)
			continue
		}
		if !errors.Is(err, unix.ENOENT) {
			return "", err
		}
		above := "/" + strings.Join(parts[:i], "/")
		parent, err := openIn(root, above, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return "", err
		}
		defer unix.Close(parent)
		if i == len(parts)-1 {
			err = create(parent, part)
		} else {
			err = unix.Mkdirat(parent, part, 0o755)
		}
		if !errors.Is(err, unix.EEXIST) {
			return name, err
		}
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(parent, part, buf)
		if errors.Is(err, unix.EINVAL) { // made by somebody else meanwhile
			return name, nil
		}
		if err != nil {
			return "", err
		}
		link := string(buf[:n])
		if !strings.HasPrefix(link, "/") {
			link = above + "/" + link
		}
		// No trailing slash: it would ask for a folder.
		return strings.Join(append([]string{link}, parts[i+1:]...), "/"), nil
	}
	return name, nil
}
