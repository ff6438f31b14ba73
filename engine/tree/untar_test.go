package tree

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// entry is one member of a test archive; an empty type is a regular file.
type entry struct {
	name, link, data string
	kind             byte
	mode             int64
	uid, gid         int
	major, minor     int64
	pax              map[string]string
	at               time.Time
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Uid: e.uid, Gid: e.gid,
			Devmajor: e.major, Devminor: e.minor, PAXRecords: e.pax, ModTime: e.at, Size: int64(len(e.data)),
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if len(e.pax) > 0 || strings.ContainsRune(e.name, '\n') {
			h.Format = tar.FormatPAX
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sandbox is a folder with a target to unpack into, and beside it files that
// nothing may touch.
type sandbox struct {
	outside, target string
	root            *Root
	before          string
}

func newSandbox(t testing.TB) *sandbox {
	t.Helper()
	dir := t.TempDir()
	s := &sandbox{outside: filepath.Join(dir, "outside"), target: filepath.Join(dir, "deep", "target")}
	for _, d := range []string{s.outside, s.target} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.outside, "secret"), []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := Open(s.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	s.root = root
	s.before = s.listOutside(t)
	return s
}

// listOutside describes all that lies beside the target.
func (s *sandbox) listOutside(t testing.TB) string {
	t.Helper()
	var out strings.Builder
	top := filepath.Dir(s.outside)
	err := filepath.WalkDir(top, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == s.target {
			return filepath.SkipDir
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		data := ""
		if d.Type().IsRegular() {
			raw, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			data = string(raw)
		}
		out.WriteString(strings.Join([]string{name, d.Type().String(), data}, "|"))
		out.WriteString("|" + time.Unix(st.Ctim.Unix()).String())
		if st.Nlink > 1 && d.Type().IsRegular() {
			out.WriteString("|linked")
		}
		out.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (s *sandbox) untar(t testing.TB, raw []byte) (UntarResult, error) {
	t.Helper()
	return s.untarWith(t, raw, UntarOptions{})
}

func (s *sandbox) untarWith(t testing.TB, raw []byte, o UntarOptions) (UntarResult, error) {
	t.Helper()
	result, err := Untar(context.Background(), s.root.FD(), bytes.NewReader(raw), o)
	if after := s.listOutside(t); after != s.before {
		t.Fatalf("something outside the target has changed:\nbefore:\n%safter:\n%s", s.before, after)
	}
	return result, err
}

// TestHostileArchives: whatever an archive says, nothing outside changes
// (sandbox.untar checks it) and an error is clean.
func TestHostileArchives(t *testing.T) {
	kerneltest.NeedRoot(t)
	s0 := newSandbox(t)
	abs := filepath.Join(s0.outside, "secret")
	up := "../../outside/secret"
	tests := []struct {
		name    string
		entries []entry
		fails   string // part of the error, "" for none
		inside  string // a path below the target that must hold "evil"
	}{
		{"a name that climbs out is refused", []entry{{name: up, data: "evil"}}, "leaves the archive", ""},
		{"a name that climbs out in its middle is refused", []entry{{name: "a/../../../outside/secret", data: "evil"}}, "leaves the archive", ""},
		{"an absolute name is taken below the target", []entry{{name: abs, data: "evil"}}, "", abs},
		{"a directory named .. is refused", []entry{{name: "..", kind: tar.TypeDir, mode: 0o777}}, "leaves the archive", ""},
		{"a file named . is refused", []entry{{name: ".", data: "evil"}}, "root is not a directory", ""},
		{"a hard link to outside by .. is refused", []entry{{name: "x", kind: tar.TypeLink, link: up}}, "bad hard link", ""},
		{"a hard link to an absolute file finds nothing", []entry{{name: "x", kind: tar.TypeLink, link: abs}}, "cannot link", ""},
		{"a hard link through a symlink finds nothing outside", []entry{
			{name: "out", kind: tar.TypeSymlink, link: s0.outside},
			{name: "x", kind: tar.TypeLink, link: "out/secret"}}, "cannot link", ""},
		{"a hard link to a symlink that points out does not open it", []entry{
			{name: "out", kind: tar.TypeSymlink, link: abs},
			{name: "x", kind: tar.TypeLink, link: "out"},
			{name: "x", data: "evil"}}, "", "x"},
		{"writing through an absolute symlink fails", []entry{
			{name: "out", kind: tar.TypeSymlink, link: s0.outside},
			{name: "out/secret", data: "evil"}}, "cannot open its directory", ""},
		{"writing through a relative symlink stays inside", []entry{
			{name: "outside", kind: tar.TypeDir, mode: 0o755},
			{name: "out", kind: tar.TypeSymlink, link: "../../../outside"},
			{name: "out/secret", data: "evil"}}, "", "outside/secret"},
		{"a file over a symlink replaces the link", []entry{
			{name: "out", kind: tar.TypeSymlink, link: abs},
			{name: "out", data: "evil"}}, "", "out"},
		{"a directory over a symlink replaces the link", []entry{
			{name: "out", kind: tar.TypeSymlink, link: s0.outside},
			{name: "out", kind: tar.TypeDir, mode: 0o777},
			{name: "out/secret", data: "evil"}}, "", "out/secret"},
		{"a chain of symlinks stays inside", []entry{
			{name: "a", kind: tar.TypeSymlink, link: ".."}, {name: "b", kind: tar.TypeSymlink, link: "a/.."},
			{name: "c", kind: tar.TypeSymlink, link: "b/../../../.."}, {name: "c/secret", data: "evil"}}, "", "secret"},
		{"a symlink loop is an error", []entry{
			{name: "a", kind: tar.TypeSymlink, link: "b"}, {name: "b", kind: tar.TypeSymlink, link: "a"},
			{name: "a/x", data: "evil"}}, "cannot open its directory", ""},
		{"a link into /proc is not followed out", []entry{
			{name: "p", kind: tar.TypeSymlink, link: "/proc/self/root"}, {name: "p/x", data: "evil"}}, "cannot open its directory", ""},
		{"a whiteout of .. is refused", []entry{{name: ".wh...", data: ""}}, "bad whiteout", ""},
		{"a whiteout of . is refused", []entry{{name: "a/.wh..", data: ""}}, "bad whiteout", ""},
		{"a whiteout of nothing is refused", []entry{{name: ".wh.", data: ""}}, "bad whiteout", ""},
		{"a whiteout through a symlink does not reach out", []entry{
			{name: "out", kind: tar.TypeSymlink, link: s0.outside}, {name: "out/.wh.secret", data: ""}}, "cannot open its directory", ""},
		{"an opaque whiteout through a symlink does not reach out", []entry{
			{name: "out", kind: tar.TypeSymlink, link: s0.outside}, {name: "out/.wh..wh..opq", data: ""}}, "cannot open its directory", ""},
		{"attributes of overlayfs are not taken from the archive", []entry{
			{name: "x", data: "evil", pax: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}}, "", "x"},
		{"an owner out of range is refused", []entry{{name: "x", data: "evil", uid: 1 << 32}}, "bad owner", ""},
		{"an owner that means no change is refused", []entry{{name: "x", data: "evil", uid: 1<<32 - 1}}, "bad owner", ""},
		{"a negative device number is refused", []entry{{name: "x", kind: tar.TypeChar, major: 1 << 20, minor: 0}}, "bad device", ""},
		{"an unknown type is refused", []entry{{name: "x", kind: 'Q'}}, "unknown type", ""},
		{"a name of 5000 bytes is an error", []entry{{name: strings.Repeat("a/", 2500) + "x", data: "evil"}}, "name too long", ""},
		{"a part of 300 bytes is an error", []entry{{name: strings.Repeat("a", 300), data: "evil"}}, "name too long", ""},
		{"a name with a newline is a name", []entry{{name: "a\nb", data: "evil"}}, "", "a\nb"},
		{"a file below a file is an error", []entry{{name: "x", data: "a"}, {name: "x/y", data: "evil"}}, "cannot open its directory", ""},
		{"a directory replaced by a file by a directory", []entry{
			{name: "d", kind: tar.TypeDir, mode: 0o755}, {name: "d/e/f", data: "x"}, {name: "d", data: "file"},
			{name: "d", kind: tar.TypeDir, mode: 0o755}, {name: "d/g", data: "evil"}}, "", "d/g"},
		{"a file over a fifo does not wait for a reader", []entry{{name: "x", kind: tar.TypeFifo}, {name: "x", data: "evil"}}, "", "x"},
		{"a file over a device does not write to it", []entry{
			{name: "x", kind: tar.TypeBlock, major: 7, minor: 250}, {name: "x", data: "evil"}}, "", "x"},
		{"a directory over a device", []entry{
			{name: "x", kind: tar.TypeChar, major: 1, minor: 3}, {name: "x", kind: tar.TypeDir, mode: 0o755}, {name: "x/y", data: "evil"}}, "", "x/y"},
		{"a hard link to itself keeps the file", []entry{{name: "x", data: "evil"}, {name: "x", kind: tar.TypeLink, link: "x"}}, "", "x"},
		{"a hard link to its own other name keeps the file", []entry{
			{name: "x", data: "evil"}, {name: "y", kind: tar.TypeLink, link: "x"}, {name: "x", kind: tar.TypeLink, link: "y"}}, "", "x"},
		{"a hard link to a directory is an error", []entry{
			{name: "d", kind: tar.TypeDir, mode: 0o755}, {name: "x", kind: tar.TypeLink, link: "d"}}, "cannot link", ""},
		{"a hard link to the root is refused", []entry{{name: "x", kind: tar.TypeLink, link: "/"}}, "bad hard link", ""},
		{"a hard link over a directory of a link", []entry{
			{name: "f", data: "evil"}, {name: "d", kind: tar.TypeSymlink, link: s0.outside}, {name: "d", kind: tar.TypeLink, link: "f"}}, "", "d"},
		{"owner and mode of a symlink are not those of its target", []entry{
			{name: "out", kind: tar.TypeSymlink, link: abs, mode: 0o777, uid: 4242, gid: 4242, at: time.Unix(1, 0)}}, "", ""},
		{"attributes of a symlink are not set through it", []entry{
			{name: "out", kind: tar.TypeSymlink, link: abs, pax: map[string]string{"SCHILY.xattr.user.evil": "x"}}}, "", ""},
		{"an attribute of a megabyte is an error", []entry{
			{name: "x", data: "evil", pax: map[string]string{"SCHILY.xattr.user.huge": strings.Repeat("x", 100<<10)}}}, "cannot set attribute", ""},
		{"an attribute with a bad name is left out or an error, never more", []entry{
			{name: "x", data: "evil", pax: map[string]string{"SCHILY.xattr.nowhere.x": "x"}}}, "", "x"},
		{"a broken file capability is told", []entry{
			{name: "x", data: "evil", pax: map[string]string{"SCHILY.xattr.security.capability": "x"}}}, "security.capability", ""},
		{"unprivileged overlay attributes are not taken either", []entry{
			{name: "x", data: "evil", pax: map[string]string{"SCHILY.xattr.user.overlay.whiteout": "y"}}}, "", "x"},
		{"a symlink to nothing is an error", []entry{{name: "x", kind: tar.TypeSymlink, link: ""}}, "cannot unpack", ""},
		{"a symlink of 5000 bytes is an error", []entry{{name: "x", kind: tar.TypeSymlink, link: strings.Repeat("a", 5000)}}, "name too long", ""},
		{"a name of 250 deep directories", []entry{{name: strings.Repeat("d/", 250) + "x", data: "evil"}}, "", strings.Repeat("d/", 250) + "x"},
		{"a whiteout of the parent of the entry that follows", []entry{
			{name: "d/e/f", data: "x"}, {name: ".wh.d"}, {name: "d/e/g", data: "evil"}}, "", "d/e/g"},
		{"a file replaces the directory that holds what is unpacked next", []entry{
			{name: "d/e/f", data: "x"}, {name: "d/e", data: "file"}, {name: "d/e", kind: tar.TypeSymlink, link: s0.outside},
			{name: "d/e/secret", data: "evil"}}, "cannot open its directory", ""},
		{"a file twice is the later one", []entry{{name: "x", data: "first one"}, {name: "x", data: "evil"}}, "", "x"},
	}
	for _, test := range tests {
		for _, merged := range []bool{false, true} {
			name := test.name
			if merged {
				name += ", merged"
			}
			t.Run(name, func(t *testing.T) {
				s := newSandbox(t)
				there := func(text string) string { return strings.ReplaceAll(text, s0.outside, s.outside) }
				var entries []entry // with absolute paths of this run
				for _, e := range test.entries {
					e.name, e.link = there(e.name), there(e.link)
					entries = append(entries, e)
				}
				_, err := s.untarWith(t, archive(t, entries...), UntarOptions{Merged: merged})
				if test.fails == "" && err != nil {
					t.Fatalf("error %v, want none", err)
				}
				if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
					t.Fatalf("error %v, want one with %q", err, test.fails)
				}
				if test.inside != "" {
					raw, err := os.ReadFile(filepath.Join(s.target, there(test.inside)))
					if err != nil || string(raw) != "evil" {
						t.Errorf("%s holds %q, %v; want it to be inside", test.inside, raw, err)
					}
				}
			})
		}
	}
}

// TestHostileArchivesOverHostileLayers: what lies below may be as hostile.
func TestHostileArchivesOverHostileLayers(t *testing.T) {
	kerneltest.NeedRoot(t)
	for _, test := range []struct {
		name string
		e    entry
	}{
		{"a file", entry{name: "out/secret", data: "evil"}},
		{"a directory", entry{name: "out/d", kind: tar.TypeDir, mode: 0o777}},
		{"a whiteout", entry{name: "out/.wh.secret"}},
		{"a whiteout of all", entry{name: "out/.wh..wh..opq"}},
		{"a whiteout of the link", entry{name: ".wh.out"}},
		{"a hard link", entry{name: "x", kind: tar.TypeLink, link: "out/secret"}},
		{"a device", entry{name: "out/secret", kind: tar.TypeChar, major: 1, minor: 3}},
	} {
		for _, target := range []string{"ABSOLUTE", "../../outside", "/proc/self/root", "../../../../../../../../ABSOLUTE"} {
			t.Run(test.name+" through "+target, func(t *testing.T) {
				s := newSandbox(t)
				link := strings.ReplaceAll(target, "ABSOLUTE", s.outside)
				if err := os.Symlink(link, filepath.Join(s.target, "out")); err != nil {
					t.Fatal(err)
				}
				// untarWith checks that nothing outside has changed.
				_, _ = s.untarWith(t, archive(t, test.e), UntarOptions{Merged: true})
			})
		}
	}
}

func TestUntarKeepsWhatAnImageNeeds(t *testing.T) {
	kerneltest.NeedRoot(t)
	s := newSandbox(t)
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	result, err := s.untar(t, archive(t,
		entry{name: "./", kind: tar.TypeDir, mode: 0o711, at: at},
		entry{name: "tmp/", kind: tar.TypeDir, mode: 0o1777, at: at},
		entry{name: "bin/su", data: "program", mode: 0o4755, uid: 7, gid: 8, at: at,
			pax: map[string]string{"SCHILY.xattr.security.capability": capability, "SCHILY.xattr.user.note": "hi"}},
		entry{name: "bin/link", kind: tar.TypeLink, link: "bin/su"},
		entry{name: "bin/abs", kind: tar.TypeLink, link: "/bin/su"},
		entry{name: "lib", kind: tar.TypeSymlink, link: "/usr/lib", uid: 9, gid: 9, at: at},
		entry{name: "dev/null", kind: tar.TypeChar, mode: 0o666, major: 1, minor: 3},
		entry{name: "dev/pipe", kind: tar.TypeFifo, mode: 0o620, uid: 5},
		entry{name: ".wh.gone"},
		entry{name: "etc/.wh..wh..opq"},
		entry{name: "both/", kind: tar.TypeDir, mode: 0o755},
		entry{name: ".wh.both"},
		entry{name: ".wh.later"},
		entry{name: "later/", kind: tar.TypeDir, mode: 0o755},
		entry{name: ".wh..wh.plnk"},
	))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(result.Implied, " "); got != "bin dev etc" {
		t.Errorf("implied directories are %q", got)
	}
	check := func(name string, mode uint32, uid, gid uint32) unix.Stat_t {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(s.target, name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != mode || st.Uid != uid || st.Gid != gid {
			t.Errorf("%s has mode %o owner %d:%d, want %o %d:%d", name, st.Mode, st.Uid, st.Gid, mode, uid, gid)
		}
		return st
	}
	check(".", unix.S_IFDIR|0o711, 0, 0)
	check("bin", unix.S_IFDIR|0o755, 0, 0)
	su := check("bin/su", unix.S_IFREG|0o4755, 7, 8)
	if su.Nlink != 3 {
		t.Errorf("bin/su has %d links, want 3", su.Nlink)
	}
	if st := check("tmp", unix.S_IFDIR|0o1777, 0, 0); st.Mtim.Sec != at.Unix() {
		t.Errorf("tmp was modified at %d, want %d", st.Mtim.Sec, at.Unix())
	}
	if st := check("lib", unix.S_IFLNK|0o777, 9, 9); st.Mtim.Sec != at.Unix() {
		t.Errorf("lib was modified at %d, want %d", st.Mtim.Sec, at.Unix())
	}
	if st := check("dev/null", unix.S_IFCHR|0o666, 0, 0); st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("dev/null is device %x", st.Rdev)
	}
	check("dev/pipe", unix.S_IFIFO|0o620, 5, 0)
	if st := check("gone", unix.S_IFCHR, 0, 0); st.Rdev != 0 {
		t.Errorf("the whiteout is device %x", st.Rdev)
	}
	for _, want := range []struct{ file, name, value string }{
		{"bin/su", "security.capability", capability}, {"bin/su", "user.note", "hi"},
		{"etc", "trusted.overlay.opaque", "y"}, {"both", "trusted.overlay.opaque", "y"}, {"later", "trusted.overlay.opaque", "y"},
	} {
		buf := make([]byte, 256)
		n, err := unix.Lgetxattr(filepath.Join(s.target, want.file), want.name, buf)
		if err != nil || string(buf[:n]) != want.value {
			t.Errorf("%s of %s is %q, %v; want %q", want.name, want.file, buf[:max(n, 0)], err, want.value)
		}
	}
	if _, err := os.Lstat(filepath.Join(s.target, ".wh..wh.plnk")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("book-keeping of aufs was unpacked: %v", err)
	}
}
