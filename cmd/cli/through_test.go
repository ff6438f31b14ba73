package cli

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestADevicePipeOrLinkIsWrittenNotReplaced(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Mkfifo(at("pipe"), 0o600))
	must(os.WriteFile(at("file"), []byte("before, and longer"), 0o644))
	must(os.Symlink("file", at("link")))
	must(os.Symlink("made", at("to-nothing")))
	must(os.Symlink(".", at("to-folder")))
	for name, want := range map[string]bool{"pipe": true, "link": true, "to-nothing": true, "file": false, "missing": false, ".": false, "to-folder": false} {
		if got := throughTo(at(name)); got != want {
			t.Errorf("%s is written where it is: %v", name, got)
		}
	}
	if !throughTo("/dev/null") {
		t.Fatal("/dev/null would be replaced")
	}
	s := &session{process: Process{Dir: dir}}
	read := make(chan string)
	go func() {
		content, _ := os.ReadFile(at("pipe"))
		read <- string(content)
	}()
	must(s.writeOut(strings.NewReader("through"), "pipe"))
	if got := <-read; got != "through" {
		t.Errorf("the pipe gave %q", got)
	}
	for _, name := range []string{"link", "to-nothing", "file"} {
		must(s.writeOut(strings.NewReader("by "+name), name))
		if got, err := os.ReadFile(at(name)); err != nil || string(got) != "by "+name {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, kind := range map[string]os.FileMode{"pipe": os.ModeNamedPipe, "link": os.ModeSymlink, "to-nothing": os.ModeSymlink, "file": 0} {
		if info, err := os.Lstat(at(name)); err != nil || info.Mode().Type() != kind {
			t.Errorf("%s is %v now, %v", name, info.Mode(), err)
		}
	}
}

func TestOnlyTheContentOfAFileGoesThrough(t *testing.T) {
	pack := func(h tar.Header, content string) io.Reader {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		h.Name, h.Mode, h.Size = "f", 0o644, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		return &archive
	}
	target := filepath.Join(t.TempDir(), "target")
	if err := writeContentThrough(target, "a-1:/f", pack(tar.Header{Typeflag: tar.TypeReg}, "content")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "content" {
		t.Errorf("%q", got)
	}
	err := writeContentThrough(target, "a-1:/f", pack(tar.Header{Typeflag: tar.TypeSymlink, Linkname: "x"}, ""))
	if err == nil || !strings.Contains(err.Error(), "takes the content of a regular file") {
		t.Errorf("a link: %v", err)
	}
}
