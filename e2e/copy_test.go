package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const copied = `
services:
  a:
    image: busybox
    command: sh -c 'mkdir -p /data/sub; echo inside > /data/sub/f; ln -s sub /data/link; chown 7:8 /data/sub/f; sleep 100000'
    init: true
    scale: 2
    volumes: [stuff:/stuff, ./bound:/bound]
    tmpfs: /memory
  ro: {image: busybox, command: sleep 100000, init: true, read_only: true}
volumes: {stuff: {}}
`

// cp copies as docker cp does, in and out, into volumes too, whether the
// container runs or not.
func TestCopyBothWays(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("carry", map[string]string{
		"compose.yaml": copied, "site/index.html": "hello\n", "site/deep/x": "deep\n", "one.txt": "one\n", "bound/.keep": "",
	})
	h.must(dir, "up", "-d")
	h.eventually(func() error {
		return want(h.run(dir, "exec", "-T", "--index", "2", "a", "ls", "/data/sub").stdout, "f")
	})
	h.eventually(func() error { return want(h.run(dir, "exec", "-T", "a", "ls", "/data/sub").stdout, "f") })
	inside := func(index, path, text string) {
		t.Helper()
		if got := h.run(dir, "exec", "-T", "--index", index, "a", "cat", path); got.stdout != text {
			t.Errorf("%s in %s: %+v", path, index, got)
		}
	}
	r := h.run(dir, "cp", "one.txt", "a:/tmp/")
	if r.code != 0 || !strings.Contains(r.stderr, " carry-a-2 Copying one.txt to carry-a-2:/tmp/\n carry-a-2 Copied one.txt to carry-a-2:/tmp/\n") {
		t.Errorf("cp: %+v", r)
	}
	inside("1", "/tmp/one.txt", "one\n")
	inside("2", "/tmp/one.txt", "one\n")
	for _, args := range []string{"cp site a:/srv", "cp site a:/srv", "cp site/. a:/memory", "cp one.txt a:/stuff/renamed", "cp --index 1 one.txt a:/bound"} {
		if r := h.run(dir, strings.Fields(args)...); r.code != 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	inside("1", "/srv/index.html", "hello\n")
	inside("2", "/srv/site/deep/x", "deep\n")
	inside("1", "/memory/deep/x", "deep\n")
	inside("2", "/stuff/renamed", "one\n")
	if got, err := os.ReadFile(filepath.Join(dir, "bound/one.txt")); err != nil || string(got) != "one\n" {
		t.Errorf("bind mount: %q, %v", got, err)
	}
	outside := func(path, text string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, path)); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for _, args := range []string{"cp a:/data out", "cp a:/data/sub/f copied.txt", "cp -a a:/data/sub/f owned.txt", "cp -L a:/data/link followed", "cp a:/data/link linked"} {
		if r := h.run(dir, strings.Fields(args)...); r.code != 0 {
			t.Errorf("%s: %+v", args, r)
		}
	}
	// What is no regular file is written, not replaced: /dev/null for one.
	if err := syscall.Mknod(filepath.Join(dir, "null"), syscall.S_IFCHR|0o666, 1<<8|3); err != nil {
		t.Fatal(err)
	}
	for args, code := range map[string]int{"cp a:/data/sub/f null": 0, "cp a:/data null": 1, "export -o null --index 1 a": 0, "image save -o null busybox": 0} {
		if r := h.run(dir, strings.Fields(args)...); r.code != code {
			t.Errorf("%s: %+v", args, r)
		}
		if info, err := os.Lstat(filepath.Join(dir, "null")); err != nil || info.Mode()&os.ModeCharDevice == 0 {
			t.Fatalf("after %s the device is %v, %v", args, info.Mode(), err)
		}
	}
	outside("out/sub/f", "inside\n")
	outside("copied.txt", "inside\n")
	outside("followed/f", "inside\n")
	if target, err := os.Readlink(filepath.Join(dir, "linked")); err != nil || target != "sub" {
		t.Errorf("link: %q, %v", target, err)
	}
	if uid, gid := ownerOf(t, filepath.Join(dir, "owned.txt")); uid != 7 || gid != 8 {
		t.Errorf("owner %d:%d", uid, gid)
	}
	if uid, gid := ownerOf(t, filepath.Join(dir, "copied.txt")); uid != os.Getuid() || gid != os.Getgid() {
		t.Errorf("owner %d:%d", uid, gid)
	}
	for args, text := range map[string]string{
		"cp a:/nosuch x":          "Could not find the file /nosuch in container carry-a-1\n",
		"cp nosuch a:/tmp":        "cannot copy nosuch: no such file or directory\n",
		"cp one.txt a:/none/":     "no such directory\n",
		"cp site a:/tmp/one.txt":  "cannot copy directory",
		"cp one.txt ro:/tmp/":     "read-only",
		"cp a:/tmp b:/tmp":        "copying between services is not supported\n",
		"cp one.txt two.txt":      "unknown copy direction",
		"cp one.txt nosuch:/tmp":  "no such service: nosuch",
		"cp --index 9 a:/tmp out": "no container found for service \"a\"\n",
	} {
		if r := h.run(dir, strings.Fields(args)...); r.code != 1 || !strings.Contains(r.stderr, text) {
			t.Errorf("%s: %+v", args, r)
		}
	}
	h.must(dir, "stop", "-t", "1")
	for _, args := range []string{"cp one.txt a:/data/late", "cp one.txt a:/stuff/late", "cp a:/data/sub/f stopped.txt"} {
		if r := h.run(dir, strings.Fields(args)...); r.code != 0 {
			t.Errorf("stopped: %s: %+v", args, r)
		}
	}
	outside("stopped.txt", "inside\n")
	h.must(dir, "start")
	inside("1", "/data/late", "one\n")
	inside("2", "/stuff/late", "one\n")
}

// A copy cannot be led out of the container, nor out of the folder that it is
// unpacked into.
func TestACopyStaysWhereItBelongs(t *testing.T) {
	h := newHost(t)
	h.busybox()
	secret := filepath.Join(tempDir(t), "secret")
	if err := os.WriteFile(secret, []byte("host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := h.project("closed", map[string]string{"compose.yaml": copied, "one.txt": "one\n", "bound/.keep": ""})
	h.must(dir, "up", "-d", "--scale", "a=1", "a")
	h.must(dir, "exec", "-T", "a", "sh", "-c", "mkdir /esc; ln -s / /esc/up; ln -s ../../../../../../../.. /esc/dots; ln -s "+secret+" /esc/file; echo mine > /mine")
	if r := h.run(dir, "cp", "-L", "a:/esc/file", "stolen"); r.code == 0 {
		t.Errorf("a link led out: %+v", r)
	}
	h.must(dir, "cp", "a:/esc/dots/mine", "got")
	if got, err := os.ReadFile(filepath.Join(dir, "got")); err != nil || string(got) != "mine\n" {
		t.Errorf("got %q, %v", got, err)
	}
	h.must(dir, "cp", "one.txt", "a:/esc/up/landed")
	if got := h.must(dir, "exec", "-T", "a", "cat", "/landed"); got != "one\n" {
		t.Errorf("landed %q", got)
	}
	if _, err := os.Stat("/landed"); err == nil {
		t.Error("it landed on the host")
		_ = os.Remove("/landed")
	}
	// An archive that holds a way out.
	var hostile bytes.Buffer
	w := tar.NewWriter(&hostile)
	for _, header := range []tar.Header{
		{Name: "out", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(secret)},
		{Name: "out/secret", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "../up", Typeflag: tar.TypeReg, Mode: 0o644},
	} {
		if err := w.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := h.command(context.Background(), dir, "cp", "-", "a:/tmp")
	cmd.Stdin = &hostile
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("it was taken: %s", out)
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "host\n" {
		t.Errorf("the host's file is %q, %v", got, err)
	}
}

// Streams: - on both sides, and export.
func TestArchivesAsStreams(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("stream", map[string]string{"compose.yaml": copied, "bound/.keep": ""})
	h.must(dir, "up", "-d", "--scale", "a=1", "a")
	h.eventually(func() error { return want(h.run(dir, "exec", "-T", "a", "ls", "/data/sub").stdout, "f") })
	packed := h.must(dir, "cp", "a:/data/sub", "-")
	if names := strings.Join(tarNames(t, packed), " "); names != "sub/ sub/f" {
		t.Errorf("packed: %q", names)
	}
	cmd := h.command(context.Background(), dir, "cp", "-", "a:/tmp")
	cmd.Stdin = strings.NewReader(packed)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := h.must(dir, "exec", "-T", "a", "cat", "/tmp/sub/f"); got != "inside\n" {
		t.Errorf("unpacked: %q", got)
	}
	h.must(dir, "exec", "-T", "a", "touch", "/stuff/volume", "/memory/m")
	for _, state := range []string{"running", "stopped"} {
		all := "\n" + strings.Join(tarNames(t, h.must(dir, "export", "a")), "\n") + "\n"
		if !strings.Contains(all, "\nbin/busybox\n") || !strings.Contains(all, "\ndata/sub/f\n") || strings.Contains(all, "stuff/volume") || strings.Contains(all, "proc/1") {
			t.Errorf("%s: export has %d names", state, strings.Count(all, "\n"))
		}
		h.must(dir, "stop", "-t", "1")
	}
	h.must(dir, "export", "-o", "a.tar", "a")
	if raw, err := os.ReadFile(filepath.Join(dir, "a.tar")); err != nil || len(tarNames(t, string(raw))) < 100 {
		t.Errorf("a.tar: %d bytes, %v", len(raw), err)
	}
}

func tarNames(t *testing.T, archive string) (names []string) {
	t.Helper()
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func ownerOf(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid), int(st.Gid)
}
