package engine

import (
	"archive/tar"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// buildBuilder builds the builder's program.
func buildBuilder(t *testing.T) BuilderProgram {
	t.Helper()
	out := filepath.Join(t.TempDir(), "builder")
	if err := kerneltest.Build(out, "cmd/builder", ""); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) { return out, nil }
}

// rootTar packs busybox and a shell.
func rootTar(t *testing.T) *os.File {
	t.Helper()
	busybox, err := os.ReadFile(kerneltest.NeedProgram(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "root.tar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	w := tar.NewWriter(f)
	entries := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(busybox))},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
	}
	for _, name := range []string{"sh", "nslookup", "cat", "ls", "true"} {
		entries = append(entries, tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
	}
	for _, h := range entries {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(busybox); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

// upstream answers every name with 192.0.2.7 on a loopback address, and is
// what the rig's resolv.conf names.
func upstream(t *testing.T) (resolvConf string) {
	t.Helper()
	pid := os.Getpid() // another run of this test may go on beside this one
	address := fmt.Sprintf("127.153.%d.%d", pid>>8&255, pid&255)
	conn, err := net.ListenPacket("udp", address+":53")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buffer[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response = true
			m.Additionals = nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
				}}
			}
			if answer, err := m.Pack(); err == nil {
				conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	path := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(path, []byte("nameserver "+address+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportedAndBuiltImagesRun(t *testing.T) {
	r := newRig(t)
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	config := r.engine.cfg
	config.Builder, config.ResolvConf = buildBuilder(t), upstream(t)
	config.Logger = slog.New(slog.DiscardHandler)
	var err error
	if r.engine, err = Open(config); err != nil {
		t.Fatal(err)
	}
	before := r.engine.store.Syncs()
	imported, err := r.engine.ImportImage(t.Context(), "base:1", "", rootTar(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.engine.store.Syncs() == before {
		t.Error("an image's record is on the disk before its layers")
	}
	folder := t.TempDir()
	dockerfile := "FROM base:1\nRUN nslookup some.example > /answer && ls /sys/class/net > /links\nCMD [\"/bin/cat\", \"/answer\"]\n"
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	var output []string
	var mu sync.Mutex
	built, err := r.engine.BuildImage(t.Context(), spec.Build{Name: "app:1", Context: folder}, func(p spec.Progress) {
		mu.Lock()
		defer mu.Unlock()
		output = append(output, fmt.Sprintf("%+v", p))
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(output, "\n"))
	}
	if built.Digest == imported.Digest {
		t.Error("the built image is the imported one")
	}
	id := r.start(spec.Blueprint{Name: "app", Project: "t", Image: "app:1", ImageDigest: built.Digest, NetworkMode: modeNone})
	if s := r.wait(id, spec.UntilExited); s.ExitCode != 0 {
		t.Errorf("status %+v", s)
	}
	if got := strings.Join(r.lines(id), "|"); !strings.Contains(got, "192.0.2.7") {
		t.Errorf("the step's lookup: %s", got)
	}
	if err := r.engine.RemoveImage(t.Context(), "app:1"); err == nil {
		t.Error("an image was removed while a container names it")
	}
	_, err = r.engine.BuildImage(t.Context(), spec.Build{Name: "bad:1", Context: folder, DockerfileInline: "FROM base:1\nRUN echo lastwords; exit 7\n"}, nil)
	if err == nil || !strings.Contains(err.Error(), "7") {
		t.Errorf("a failing step: %v", err)
	}
}
