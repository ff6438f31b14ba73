package tree

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// plant makes a small tree with links.
func plant(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "top")
	for _, sub := range []string{"", "sub", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "one", 0o640)
	write("sub/b", "two", 0o755)
	write(".wh.c", "three", 0o600)
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "sub/hard")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub", filepath.Join(dir, "soft")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 123456789)
	if err := os.Chtimes(filepath.Join(dir, "a"), at, at); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatIsPackedComesOutTheSame(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: owners are set by root only")
	}
	from := plant(t)
	src, err := Open(filepath.Dir(from))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var packed bytes.Buffer
	if err := src.Tar(t.Context(), &packed, "top", TarOptions{Top: "renamed"}); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	dst, err := Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := Untar(t.Context(), dst.FD(), &packed, UntarOptions{Plain: true}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a": "one", "sub/b": "two", ".wh.c": "three", "sub/hard": "one", "soft/b": "two"} {
		if got, err := os.ReadFile(filepath.Join(to, "renamed", name)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var a, hard unix.Stat_t
	if err := unix.Stat(filepath.Join(to, "renamed/a"), &a); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(filepath.Join(to, "renamed/sub/hard"), &hard); err != nil {
		t.Fatal(err)
	}
	if a.Ino != hard.Ino || a.Mode&0o7777 != 0o640 || a.Mtim.Nano() != 1700000000123456789 {
		t.Errorf("got %+v and %+v", a, hard)
	}
	if st, err := dst.Lstat("renamed/pipe"); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		t.Errorf("pipe: %+v, %v", st, err)
	}
}

func TestContentAndLinksArePackedAsAsked(t *testing.T) {
	from := plant(t)
	src, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for _, c := range []struct {
		name string
		o    TarOptions
		want []string
	}{
		{"soft", TarOptions{}, []string{"soft"}},
		{"soft", TarOptions{Follow: true}, []string{"soft/", "soft/b", "soft/hard"}},
		{"sub", TarOptions{Top: "."}, []string{"b", "hard"}},
		{"a", TarOptions{Top: "z"}, []string{"z"}},
	} {
		var packed bytes.Buffer
		if err := src.Tar(t.Context(), &packed, c.name, c.o); err != nil {
			t.Errorf("%s %+v: %v", c.name, c.o, err)
			continue
		}
		if got := namesIn(t, &packed); !slices.Equal(got, c.want) {
			t.Errorf("%s %+v: %q", c.name, c.o, got)
		}
	}
	if err := src.Tar(t.Context(), &bytes.Buffer{}, "nosuch", TarOptions{}); err == nil {
		t.Error("what is not there is packed")
	}
}

func namesIn(t *testing.T, packed *bytes.Buffer) (names []string) {
	t.Helper()
	for archive := tar.NewReader(packed); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

// A live directory keeps what it is: links to directories are followed, kinds do
// not replace each other.
func TestPlainUntarFillsALiveTree(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: owners are set by root only")
	}
	src, err := Open(plant(t))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	pack := func(name, top string) *bytes.Buffer {
		var packed bytes.Buffer
		if err := src.Tar(t.Context(), &packed, name, TarOptions{Top: top}); err != nil {
			t.Fatal(err)
		}
		return &packed
	}
	to := t.TempDir()
	for _, dir := range []string{"usr/lib", "taken"} {
		if err := os.MkdirAll(filepath.Join(to, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("usr/lib", filepath.Join(to, "lib")); err != nil {
		t.Fatal(err)
	}
	dst, err := Open(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := Untar(t.Context(), dst.FD(), pack("sub", "lib"), UntarOptions{Plain: true}); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(to, "usr/lib/b")); err != nil || string(got) != "two" {
		t.Errorf("through the link: %q, %v", got, err)
	}
	if _, err := Untar(t.Context(), dst.FD(), pack("a", "taken"), UntarOptions{Plain: true}); err == nil {
		t.Error("a file takes a directory's place")
	}
	if _, err := Untar(t.Context(), dst.FD(), pack("sub", "usr/lib/b"), UntarOptions{Plain: true}); err == nil {
		t.Error("a directory takes a file's place")
	}
}
