package tree

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// newTree makes a root with links that try to lead out of it.
func newTree(t *testing.T) (root *Root, dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "root"), filepath.Join(base, "outside")
	for _, d := range []string{dir + "/etc", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{dir + "/etc/passwd": "inside", outside + "/passwd": "outside"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"abs": "/etc/passwd", "rel": "../../../etc/passwd", "out": outside + "/passwd", "dir": "/etc",
		"outdir": outside, "loop": "loop", "magic": "/proc/self/cwd",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir, outside
}

func TestReadFileStaysInside(t *testing.T) {
	root, dir, _ := newTree(t)
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/passwd": "inside", "/etc/passwd": "inside", "../../etc/passwd": "inside", "abs": "inside", "rel": "inside", "dir/passwd": "inside",
	} {
		got, err := root.ReadFile(name, 100)
		if err != nil || string(got) != want {
			t.Errorf("ReadFile(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"out": fs.ErrNotExist, "outdir/passwd": fs.ErrNotExist, "loop": unix.ELOOP, "magic/x": fs.ErrNotExist,
		"fifo": ErrNotRegular, "etc": ErrNotRegular, ".": ErrNotRegular, "nothing": fs.ErrNotExist,
	} {
		if got, err := root.ReadFile(name, 100); !errors.Is(err, want) {
			t.Errorf("ReadFile(%q) = %q, %v; want %v", name, got, err, want)
		}
	}
	if _, err := root.ReadFile("etc/passwd", 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file over the limit gives %v, want ErrTooLarge", err)
	}
}

func TestWriteFileReplacesAndNeverWritesThrough(t *testing.T) {
	root, dir, outside := newTree(t)
	me := Owner{Mode: 0o640, UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	for _, name := range []string{"out", "etc/passwd", "dir/new", "../../top"} {
		if err := root.WriteFile(name, []byte("new"), me); err != nil {
			t.Errorf("WriteFile(%q): %v", name, err)
		}
	}
	for name, want := range map[string]string{
		dir + "/out": "new", dir + "/etc/passwd": "new", dir + "/etc/new": "new", dir + "/top": "new", outside + "/passwd": "outside",
	} {
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	if err := root.WriteFile("outdir/passwd", []byte("new"), me); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing through a link to outside gives %v", err)
	}
	if st, _ := root.Lstat("out"); st.Mode != unix.S_IFREG|0o640 {
		t.Errorf("the new file has mode %o", st.Mode)
	}
	left, _ := filepath.Glob(dir + "/.mycompose-*")
	if len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestMkdirAllStaysInside(t *testing.T) {
	root, dir, outside := newTree(t)
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	for _, name := range []string{"a/b/c", "a/b/c", "dir/x/y", "/", "../up"} {
		if err := root.MkdirAll(name, 0o1777, uid, gid); err != nil {
			t.Errorf("MkdirAll(%q): %v", name, err)
		}
	}
	for _, name := range []string{"a/b/c", "etc/x/y", "up"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	for _, name := range []string{"outdir/x", "etc/passwd/x", "loop/x"} {
		if err := root.MkdirAll(name, 0o755, uid, gid); err == nil {
			t.Errorf("MkdirAll(%q) succeeded", name)
		}
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside holds %v", names)
	}
}

func TestRemoveAllRemovesLinksThemselves(t *testing.T) {
	root, dir, outside := newTree(t)
	if err := os.MkdirAll(dir+"/full/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, dir+"/full/a/out"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"full", "outdir", "nothing", "nothing/below"} {
		if err := root.RemoveAll(name); err != nil {
			t.Errorf("RemoveAll(%q): %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if err := root.RemoveAll("/"); err == nil {
		t.Error("the root itself was removed")
	}
	if _, err := os.Stat(outside + "/passwd"); err != nil {
		t.Errorf("something outside was removed: %v", err)
	}
}

func TestCopyKeepsEverything(t *testing.T) {
	kerneltest.NeedRoot(t)
	src := newSandbox(t)
	if _, err := src.untar(t, archive(t,
		entry{name: "data/", kind: '5', mode: 0o2750, uid: 100, gid: 101},
		entry{name: "data/file", data: "text", mode: 0o4711, uid: 1, gid: 2, pax: map[string]string{"SCHILY.xattr.user.note": "hi"}},
		entry{name: "data/twin", kind: '1', link: "data/file"},
		entry{name: "data/link", kind: '2', link: "/etc/passwd", uid: 3},
		entry{name: "data/sub/fifo", kind: '6', mode: 0o600},
		entry{name: "data/sub/.wh..wh..opq"},
	)); err != nil {
		t.Fatal(err)
	}
	dst, dir, outside := newTree(t)
	if err := Copy(context.Background(), src.root, "data", dst, "volume"); err != nil {
		t.Fatal(err)
	}
	var a, b, d unix.Stat_t
	for name, st := range map[string]*unix.Stat_t{"volume/file": &a, "volume/twin": &b, "volume": &d} {
		if err := unix.Lstat(filepath.Join(dir, name), st); err != nil {
			t.Fatal(err)
		}
	}
	if a.Ino != b.Ino || a.Mode != unix.S_IFREG|0o4711 || a.Uid != 1 || a.Gid != 2 {
		t.Errorf("file: inode %d and %d, mode %o, owner %d:%d", a.Ino, b.Ino, a.Mode, a.Uid, a.Gid)
	}
	if d.Mode != unix.S_IFDIR|0o2750 || d.Uid != 100 || d.Gid != 101 {
		t.Errorf("directory: mode %o, owner %d:%d", d.Mode, d.Uid, d.Gid)
	}
	if target, err := os.Readlink(dir + "/volume/link"); err != nil || target != "/etc/passwd" {
		t.Errorf("link leads to %q, %v", target, err)
	}
	buf := make([]byte, 64)
	if n, err := unix.Lgetxattr(dir+"/volume/file", "user.note", buf); err != nil || string(buf[:n]) != "hi" {
		t.Errorf("the attribute is %q, %v", buf[:max(n, 0)], err)
	}
	if _, err := unix.Lgetxattr(dir+"/volume/sub", "trusted.overlay.opaque", buf); err == nil {
		t.Error("an attribute of overlayfs was copied")
	}
	// Again, over what is there; then to a place that is a link to outside.
	if err := Copy(context.Background(), src.root, "data", dst, "volume"); err != nil {
		t.Errorf("second copy: %v", err)
	}
	if err := Copy(context.Background(), src.root, "data", dst, "outdir"); err == nil || strings.Contains(err.Error(), "panic") {
		t.Errorf("a copy to a link that leads out gives %v", err)
	}
	if names, _ := os.ReadDir(outside); len(names) != 1 {
		t.Errorf("outside holds %v", names)
	}
}

func TestCopyOfAVolumePathStaysInside(t *testing.T) {
	kerneltest.NeedRoot(t)
	src, dir, _ := newTree(t)
	dst, _, _ := newTree(t)
	if err := os.Symlink("/proc/1/root", dir+"/volume"); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"outdir", "volume", "/proc/1/root/..", "magic"} {
		err := Copy(context.Background(), src, from, dst, "copy")
		if !errors.Is(err, fs.ErrNotExist) && from != "/proc/1/root/.." {
			t.Errorf("Copy(%q) gives %v, want not found", from, err)
		}
		if _, err := dst.Lstat("copy/passwd"); err == nil {
			t.Errorf("Copy(%q) has read outside", from)
		}
	}
}
