package kerneltest

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BusyboxTar packs a root file system with busybox-static, its links, and the
// users root and nobody, into a file in dir.
func BusyboxTar(t testing.TB, dir string) string {
	t.Helper()
	NeedProgram(t, "busybox")
	path, err := PackBusybox(dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// PackBusybox is BusyboxTar without a test.
func PackBusybox(dir string) (string, error) {
	program, err := exec.LookPath("busybox")
	if err != nil {
		return "", fmt.Errorf("%w: run make setup", err)
	}
	busybox, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	applets, err := exec.Command(program, "--list").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "busybox.tar")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, entry := range busyboxEntries(busybox, strings.Fields(string(applets))) {
		entry.header.Size = int64(len(entry.content))
		if err := w.WriteHeader(&entry.header); err != nil {
			return "", err
		}
		if _, err := w.Write(entry.content); err != nil {
			return "", err
		}
	}
	return path, w.Close()
}

type tarEntry struct {
	header  tar.Header
	content []byte
}

func busyboxEntries(busybox []byte, applets []string) (out []tarEntry) {
	add := func(h tar.Header, content []byte) { out = append(out, tarEntry{h, content}) }
	for _, folder := range []string{"bin/", "etc/", "tmp/", "root/", "var/", "var/www/"} {
		mode := int64(0o755)
		if folder == "tmp/" {
			mode = 0o1777
		}
		add(tar.Header{Name: folder, Typeflag: tar.TypeDir, Mode: mode}, nil)
	}
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, busybox)
	for _, applet := range applets {
		if applet != "busybox" {
			add(tar.Header{Name: "bin/" + applet, Typeflag: tar.TypeLink, Linkname: "bin/busybox", Mode: 0o755}, nil)
		}
	}
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644},
		[]byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644},
		[]byte("root:x:0:\nusers:x:100:nobody\nnogroup:x:65534:\n"))
	return out
}
