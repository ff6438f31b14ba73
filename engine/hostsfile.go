package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

const hostsPath = "/etc/hosts"

// hostsOf is what /etc/hosts says of the container's places by now. Who shares a
// network has the names of its owner too, as in dockerd.
func (e *Engine) hostsOf(l *life) []byte {
	lines, extra := l.hostLines(), e.extraHosts(l)
	if o := e.networkOwner(l); o != nil {
		lines = append(lines, o.hostLines()...)
		for _, h := range e.extraHosts(o) {
			if !slices.ContainsFunc(extra, func(own spec.ExtraHost) bool { return own.Name == h.Name }) {
				extra = append(extra, h)
			}
		}
	}
	return container.Hosts(lines, extra)
}

// followHosts makes /etc/hosts of a container that is up follow its places,
// which it was written for as before. The file stays, and what the container
// has written into it. A failure costs the container one of its own names, and
// not the network. turn is held.
func (e *Engine) followHosts(l *life, before []byte) {
	now := e.hostsOf(l)
	c, _, _ := l.look()
	up := c.Status.State == spec.StateRunning || c.Status.State == spec.StatePaused
	if bytes.Equal(before, now) || !up || l.ownsHosts() {
		return
	}
	ns, err := container.OpenMountNamespace(l.held.pid)
	if err == nil {
		defer ns.Close()
		if l.held.ended() { // what was opened by number may be another's
			return
		}
		err = container.InMountNamespace(ns, false, func(root *tree.Root) error {
			return rewriteHosts(root, before, now)
		})
	}
	if err != nil && !l.held.ended() {
		e.log.Warn("/etc/hosts does not follow the networks", "container", l.name(), "err", err)
	}
}

// ownsHosts reports whether the user mounts an /etc/hosts.
func (l *life) ownsHosts() bool {
	return slices.ContainsFunc(l.rec.Mounts, func(m spec.Mount) bool { return path.Clean(m.Target) == hostsPath }) ||
		slices.ContainsFunc(l.rec.Blueprint.Files, func(f spec.File) bool { return path.Clean(f.Target) == hostsPath })
}

// rewriteHosts writes into the file that we have mounted, and no other.
func rewriteHosts(root *tree.Root, before, now []byte) (err error) {
	f, err := root.OpenFile(hostsPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := mountedByUs(f); err != nil {
		return err
	}
	content, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	content = followedHosts(content, before, now)
	if _, err := f.WriteAt(content, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(content)))
}

// mountedByUs refuses a file that is not mounted from memory by itself: the
// container has put another into the place of ours.
func mountedByUs(f *os.File) error {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_TYPE, &st); err != nil {
		return fmt.Errorf("cannot stat %s: %w", hostsPath, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		return fmt.Errorf("cannot stat %s: %w", hostsPath, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 || fs.Type != unix.TMPFS_MAGIC {
		return errors.New("the file is not the one that was mounted at the start")
	}
	return nil
}

// followedHosts is content without the lines that only before has, and with
// those that only now has behind the rest.
func followedHosts(content, before, now []byte) []byte {
	was, is := slices.Collect(bytes.Lines(before)), slices.Collect(bytes.Lines(now))
	has := func(lines [][]byte, line []byte) bool {
		return slices.ContainsFunc(lines, func(other []byte) bool { return bytes.Equal(other, line) })
	}
	var out []byte
	for line := range bytes.Lines(content) {
		if !has(was, line) || has(is, line) {
			out = append(out, line...)
		}
	}
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	for _, line := range is {
		if !has(was, line) {
			out = append(out, line...)
		}
	}
	return out
}
