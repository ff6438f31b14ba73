package container

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/tree"
)

// inProc reports whether a path is in a container's /proc.
func inProc(name string) bool { return strings.HasPrefix(path.Clean("/"+name)+"/", "/proc/") }

// host is what must be known of the host before a thread enters a container's
// mounts.
type host struct {
	proc int // its /proc, -1 if nothing is to be looked up there
}

// openHost fails if something is mounted below the source of a bind mount: what
// of it a container has seen is not compared.
func openHost(mounts []Mount) (h host, err error) {
	h.proc = -1
	var sources []string
	for _, m := range mounts {
		if m.Source != "" {
			real, err := realPath(m.Source)
			if err != nil {
				return h, err
			}
			sources = append(sources, real)
		}
	}
	if len(sources) == 0 {
		return h, nil
	}
	if h.proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return h, fmt.Errorf("cannot open /proc: %w", err)
	}
	table, err := h.mountTable()
	if err != nil {
		h.close()
		return h, err
	}
	for _, line := range table {
		for _, source := range sources {
			if strings.HasPrefix(line.point, strings.TrimSuffix(source, "/")+"/") {
				h.close()
				return h, fmt.Errorf("%s is mounted below %s", line.point, source)
			}
		}
	}
	return h, nil
}

func (h host) close() {
	if h.proc >= 0 {
		unix.Close(h.proc)
	}
}

// realPath is a path without symbolic links.
func realPath(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}

// mountLine is a line of mountinfo, proc_pid_mountinfo(5).
type mountLine struct {
	id, parent uint64
	point      string
}

// mountTable reads the mounts that the calling thread sees.
func (h host) mountTable() ([]mountLine, error) {
	fd, err := unix.Openat(h.proc, "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open mountinfo: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	return parseMountinfo(f)
}

func parseMountinfo(from io.Reader) (table []mountLine, err error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 5 {
			return nil, fmt.Errorf("cannot read mountinfo: bad line %q", lines.Text())
		}
		line := mountLine{point: octal.Replace(words[4])}
		var idErr, parentErr error
		line.id, idErr = strconv.ParseUint(words[0], 10, 64)
		line.parent, parentErr = strconv.ParseUint(words[1], 10, 64)
		if err := errors.Join(idErr, parentErr); err != nil {
			return nil, fmt.Errorf("cannot read mountinfo: %w", err)
		}
		table = append(table, line)
	}
	return table, lines.Err()
}

// octal undoes how the kernel writes what would part words.
var octal = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// sameMounts fails unless just these mounts lie where they are asked for. The
// calling thread is in the container's mount namespace.
func (h host) sameMounts(root *tree.Root, mounts []Mount) error {
	ours := map[uint64]bool{}
	var binds []uint64
	for _, m := range mounts {
		id, err := sameMount(root, m)
		if err != nil {
			return err
		}
		ours[id] = true
		if m.Source != "" {
			binds = append(binds, id)
		}
	}
	if len(binds) == 0 {
		return nil
	}
	table, err := h.mountTable()
	if err != nil {
		return err
	}
	for _, line := range table {
		for _, bind := range binds {
			if line.parent == bind && !ours[line.id] {
				return fmt.Errorf("%s was mounted below a bind mount", line.point)
			}
		}
	}
	return nil
}

// maxContent bounds what is compared of a file that the container may have
// written to.
const maxContent = 64 << 20

// sameMount returns the number of the mount that lies at m's target.
func sameMount(root *tree.Root, m Mount) (id uint64, err error) {
	another := fmt.Errorf("%s is another than at its start", m.Target)
	if inProc(m.Target) {
		return 0, fmt.Errorf("%s is mounted in /proc", m.Target)
	}
	there, err := root.OpenFile(m.Target, unix.O_PATH, 0)
	if err != nil {
		return 0, err
	}
	defer there.Close()
	st, err := statFile(there)
	if err != nil {
		return 0, err
	}
	if !isMountRoot(st) {
		return 0, another
	}
	switch {
	case m.Tree != nil:
		source, err := statFile(m.Tree)
		if err != nil {
			return 0, err
		}
		same := st.Ino == source.Ino && st.Dev_major == source.Dev_major && st.Dev_minor == source.Dev_minor
		if !same || st.Mode&unix.S_IFMT != source.Mode&unix.S_IFMT {
			return 0, another
		}
	case m.Tmpfs:
		if err := sameRights(m.Target, st, tmpfsOwner(m.TmpfsOpt)); err != nil {
			return 0, err
		}
	default:
		content, err := root.ReadFile(m.Target, maxContent)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(content, m.Content) {
			return 0, another
		}
		if err := sameRights(m.Target, st, m.Owner); err != nil {
			return 0, err
		}
	}
	return st.Mnt_id, nil
}
