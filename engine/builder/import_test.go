package builder

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
)

func tempFile(t testing.TB, raw []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestImportOfARootFileSystem(t *testing.T) {
	kerneltest.NeedRoot(t)
	b := newBuilder(t)
	for _, compression := range []string{plain, gzipped, zstdized} {
		layer := newLayer(t, compression, "etc/", "", "etc/hostname", "me")
		r := image.ImportRequest{Reference: "me/debian:bookworm", Command: []string{"bash"}}
		got, err := b.importTar(testContext(t), r, tempFile(t, layer.blob), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Names[0].Reference != "docker.io/me/debian:bookworm" || got.Record.Config.Config.Cmd[0] != "bash" ||
			got.Record.Layers[0].DiffID != string(digest.FromBytes(layer.tar)) {
			t.Errorf("imported %+v", got)
		}
		if read(t, b, got.Record, "etc/hostname") != "me" {
			t.Error("its file is missing")
		}
		if err := b.store.collect(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	if n := layerFolders(t, b); n != 1 {
		t.Errorf("the same root three times has %d folders, want 1", n)
	}
	layer := newLayer(t, plain, "etc/", "", "etc/hostname", "me")
	got, err := b.importTar(testContext(t), image.ImportRequest{Reference: "by-xz"}, tempFile(t, filtered(t, layer.tar, "xz", "-c")), nil)
	if err != nil || got.Record.Layers[0].DiffID != string(digest.FromBytes(layer.tar)) || read(t, b, got.Record, "etc/hostname") != "me" {
		t.Errorf("imported from xz: %+v, %v", got, err)
	}
	for name, raw := range map[string][]byte{"empty": nil, "no archive": []byte("hello"), "hostile": newLayer(t, plain, "../x", "evil").tar} {
		if _, err := b.importTar(testContext(t), image.ImportRequest{Reference: "x"}, tempFile(t, raw), nil); err == nil {
			t.Errorf("the %s file was imported", name)
		}
	}
	if _, err := b.importTar(testContext(t), image.ImportRequest{Reference: "../x"}, tempFile(t, nil), nil); err == nil {
		t.Error("a bad name was taken")
	}
}

// filtered runs raw through a program.
func filtered(t testing.TB, raw []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(kerneltest.NeedProgram(t, program), args...)
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dockerArchive is what docker save wrote before version 25.
func dockerArchive(t testing.TB, img testImage, tags ...string) []byte {
	t.Helper()
	files := []string{"config.json", string(img.config)}
	var layers []string
	for i, l := range img.layers {
		name := "layer" + string(rune('0'+i)) + "/layer.tar"
		layers = append(layers, name)
		files = append(files, name, string(l.tar))
	}
	raw, _ := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": tags, "Layers": layers}})
	return newLayer(t, plain, append(files, "manifest.json", string(raw))...).tar
}

// ociArchive is an OCI layout in a tar.
func ociArchive(t testing.TB, img testImage, annotations map[string]string) []byte {
	t.Helper()
	blob := func(raw []byte) string { return "blobs/sha256/" + digest.FromBytes(raw).Encoded() }
	files := []string{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`, blob(img.config), string(img.config), blob(img.manifest), string(img.manifest)}
	for _, l := range img.layers {
		files = append(files, blob(l.blob), string(l.blob))
	}
	desc := fromBytes(ocispec.MediaTypeImageManifest, img.manifest)
	desc.Annotations = annotations
	index := ocispec.Index{Manifests: []ocispec.Descriptor{desc}}
	index.SchemaVersion = 2
	raw, _ := json.Marshal(index)
	return newLayer(t, plain, append(files, "index.json", string(raw))...).tar
}

func TestLoadOfArchives(t *testing.T) {
	kerneltest.NeedRoot(t)
	b := newBuilder(t)
	img := newImage(t, nil, newLayer(t, gzipped, "base", "0"), newLayer(t, gzipped, "one", "1"))
	docker := dockerArchive(t, img, "app:1", "registry.test/app:2")
	for _, test := range []struct {
		name  string
		raw   []byte
		names string
	}{
		{"of docker save", docker, "docker.io/library/app:1 registry.test/app:2"},
		{"of docker save, compressed", compressed(t, gzipped, docker).blob, "docker.io/library/app:1 registry.test/app:2"},
		{"of docker save, by zstd", compressed(t, zstdized, docker).blob, "docker.io/library/app:1 registry.test/app:2"},
		{"of docker save, by xz", filtered(t, docker, "xz", "-c"), "docker.io/library/app:1 registry.test/app:2"},
		{"of docker save, by bzip2", filtered(t, docker, "bzip2", "-c"), "docker.io/library/app:1 registry.test/app:2"},
		{"of docker save without a name", dockerArchive(t, img), ""},
		{"in OCI's form", ociArchive(t, img, map[string]string{"io.containerd.image.name": "docker.io/library/oci:1"}), "docker.io/library/oci:1"},
		{"in OCI's form with a tag only", ociArchive(t, img, map[string]string{ocispec.AnnotationRefName: "latest"}), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := b.load(testContext(t), image.LoadRequest{}, tempFile(t, test.raw), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Images) != 1 || read(t, b, got.Images[0].Record, "one") != "1" || read(t, b, got.Images[0].Record, "base") != "0" {
				t.Errorf("loaded %+v", got)
			}
			var names []string
			for _, n := range got.Images[0].Names {
				names = append(names, n.Reference)
			}
			if strings.Join(names, " ") != test.names {
				t.Errorf("names %q, want %q", names, test.names)
			}
		})
	}
	if err := b.store.collect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if n := layerFolders(t, b); n != 2 {
		t.Errorf("the same layers in %d folders, want 2", n)
	}
}

func TestLoadRefuses(t *testing.T) {
	kerneltest.NeedRoot(t)
	b := newBuilder(t)
	img := newImage(t, nil, newLayer(t, plain, "a", "content"))
	bad := img
	bad.layers = []testLayer{newLayer(t, plain, "a", "other!!")}
	for name, raw := range map[string][]byte{
		"an empty file":               nil,
		"something else":              []byte("hello"),
		"a root file system":          img.layers[0].tar,
		"a manifest of null":          newLayer(t, plain, "manifest.json", "null").tar,
		"a manifest of wrong type":    newLayer(t, plain, "manifest.json", `{"a":[1,2]}`).tar,
		"a manifest nested deeply":    newLayer(t, plain, "manifest.json", strings.Repeat("[", 100000)).tar,
		"a config that is no object":  newLayer(t, plain, "c", "[]", "manifest.json", `[{"Config":"c","Layers":null}]`).tar,
		"a config with null inside":   newLayer(t, plain, "c", `{"rootfs":null,"config":null}`, "l", "x", "manifest.json", `[{"Config":"c","Layers":["l"]}]`).tar,
		"a missing layer":             newLayer(t, plain, "c", `{}`, "manifest.json", `[{"Config":"c","Layers":["../../etc/passwd"]}]`).tar,
		"a layer with another digest": dockerArchive(t, bad, "x"),
		"an OCI layout without blobs": newLayer(t, plain, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`, "index.json", `{"manifests":[{"digest":"sha256:../../x","size":3}]}`).tar,
	} {
		got, err := b.load(testContext(t), image.LoadRequest{}, tempFile(t, raw), nil)
		if err == nil {
			t.Errorf("%s was loaded: %+v", name, got)
		}
	}
	if err := b.store.collect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if f, n := layerFolders(t, b), blobCount(t, b); f != 0 || n != 0 {
		t.Errorf("%d layer folders and %d blobs are left", f, n)
	}
}

func TestManifestThatIsTwoThings(t *testing.T) {
	for _, raw := range []string{
		`{"schemaVersion":2,"manifests":[],"layers":[]}`, `{"schemaVersion":2,"manifests":[],"config":{}}`,
		`{"schemaVersion":1,"fsLayers":[]}`, `{}`, `null`, `[]`, `{"layers":5}`, `{"manifests":{"a":1}}`, `{"schemaVersion":2,"layers":[{"size":"x"}]}`,
	} {
		if _, _, err := parseManifest([]byte(raw)); err == nil {
			t.Errorf("parseManifest(%s) gives no error", raw)
		}
	}
}
