package builder

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
)

// registry is Debian's docker-registry on a loopback port of this test.
type registry struct {
	t    testing.TB
	url  string
	data string
}

func newRegistry(t testing.TB) *registry {
	t.Helper()
	program := kerneltest.NeedProgram(t, "docker-registry")
	address := fmt.Sprintf("127.0.0.1:%d", kerneltest.FreePorts(t, 1))
	r := &registry{t: t, url: "http://" + address, data: t.TempDir()}
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", r.data, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	kerneltest.Eventually(t, time.Minute, func() error {
		answer, err := http.Get(r.url + "/v2/")
		if err == nil {
			answer.Body.Close()
		}
		return err
	})
	return r
}

// put stores a blob.
func (r *registry) put(repo string, raw []byte) {
	r.t.Helper()
	answer, err := http.Post(r.url+"/v2/"+repo+"/blobs/uploads/", "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	location := answer.Header.Get("Location")
	r.send(http.MethodPut, location+"&digest="+string(digest.FromBytes(raw)), "application/octet-stream", raw)
}

func (r *registry) manifest(repo, tag, mediaType string, raw []byte) {
	r.t.Helper()
	r.send(http.MethodPut, r.url+"/v2/"+repo+"/manifests/"+tag, mediaType, raw)
}

func (r *registry) send(method, url, contentType string, raw []byte) {
	r.t.Helper()
	request, err := http.NewRequest(method, url, bytes.NewReader(raw))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(answer.Body)
		r.t.Fatalf("%s %s: %s %s", method, url, answer.Status, text)
	}
}

// push stores an image and returns its manifest's descriptor.
func (r *registry) push(repo, tag string, img testImage) ocispec.Descriptor {
	r.t.Helper()
	for _, l := range img.layers {
		r.put(repo, l.blob)
	}
	r.put(repo, img.config)
	desc := fromBytes(ocispec.MediaTypeImageManifest, img.manifest)
	desc.Platform = &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if tag == "" {
		tag = string(desc.Digest)
	}
	r.manifest(repo, tag, desc.MediaType, img.manifest)
	return desc
}

// corrupt overwrites the stored blob with other bytes of the same length.
func (r *registry) corrupt(raw []byte, change func([]byte) []byte) {
	r.t.Helper()
	hex := digest.FromBytes(raw).Encoded()
	path := filepath.Join(r.data, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
	if err := os.WriteFile(path, change(bytes.Clone(raw)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *registry) settings() image.Registries {
	return image.Registries{Mirrors: map[string][]string{"docker.io": {r.url}}}
}

// testLayer is one layer: its tar and how it travels.
type testLayer struct {
	tar, blob []byte
	mediaType string
}

type testImage struct {
	layers           []testLayer
	config, manifest []byte
}

// newLayer makes a layer of "name", "content" pairs; a name that ends in "/"
// is a directory.
func newLayer(t testing.TB, compression string, pairs ...string) testLayer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(pairs); i += 2 {
		h := &tar.Header{Name: pairs[i], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(pairs[i+1])), ModTime: time.Unix(1e9, 0)}
		if strings.HasSuffix(pairs[i], "/") {
			h.Typeflag, h.Size = tar.TypeDir, 0
			if h.Name == "tmp/" {
				h.Mode = 0o1777
			}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, pairs[i+1])
		}
	}
	w.Close()
	return compressed(t, compression, out.Bytes())
}

func compressed(t testing.TB, compression string, raw []byte) testLayer {
	t.Helper()
	var out bytes.Buffer
	switch compression {
	case gzipped:
		z := gzip.NewWriter(&out)
		z.Write(raw)
		z.Close()
	case zstdized:
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(raw)
		z.Close()
	default:
		out.Write(raw)
	}
	return testLayer{tar: raw, blob: out.Bytes(), mediaType: layerMediaTypes[compression]}
}

func newImage(t testing.TB, edit func(*image.Config), layers ...testLayer) testImage {
	t.Helper()
	config := image.Config{}
	config.Platform = ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	config.Config.Cmd = []string{"/bin/sh"}
	config.RootFS.Type = "layers"
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l.tar))
		m.Layers = append(m.Layers, fromBytes(l.mediaType, l.blob))
	}
	if edit != nil {
		edit(&config)
	}
	img := testImage{layers: layers}
	img.config, _ = json.Marshal(config)
	m.Config = fromBytes(ocispec.MediaTypeImageConfig, img.config)
	img.manifest, _ = json.Marshal(m)
	return img
}

// busyboxLayer holds a statically linked shell.
func busyboxLayer(t testing.TB) testLayer {
	t.Helper()
	raw, err := os.ReadFile(kerneltest.NeedProgram(t, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	pairs := []string{"bin/", "", "bin/busybox", string(raw), "etc/", "", "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n", "etc/group", "root:x:0:\nweb:x:1000:\n", "tmp/", ""}
	layer := newLayer(t, plain, pairs...)
	return compressed(t, gzipped, withApplets(t, layer.tar))
}

// withApplets adds links for the applets that tests use.
func withApplets(t testing.TB, raw []byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	in := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		w.WriteHeader(h)
		io.Copy(w, in)
	}
	for _, name := range []string{"sh", "cat", "ls", "echo", "id", "mkdir", "touch", "rm", "stat", "true", "false", "sleep", "env", "wget", "hostname", "grep", "date", "ip", "ps", "dd", "mount", "chmod", "test", "readlink"} {
		w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777})
	}
	w.Close()
	return out.Bytes()
}

// newBuilder opens a builder on a state folder of this test.
func newBuilder(t testing.TB) *Builder { return newBuilderWith(t, Options{}) }

func newBuilderWith(t testing.TB, o Options) *Builder {
	t.Helper()
	if o.StateDir == "" {
		o.StateDir = t.TempDir()
	}
	o.Log = slog.New(slog.DiscardHandler)
	b, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func testContext(t testing.TB) context.Context { return inNamespace(t.Context()) }

// read returns the file name as the topmost layer that has it shows it.
func read(t testing.TB, b *Builder, r image.Record, name string) string {
	t.Helper()
	for _, dir := range r.LowerDirs(b.store.stateDir) {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			return string(raw)
		}
	}
	t.Errorf("no layer has %s", name)
	return ""
}
