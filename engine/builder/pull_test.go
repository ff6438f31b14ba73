package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
)

// layerFolders counts the folders on disk.
func layerFolders(t testing.TB, b *Builder) int {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(b.store.root, "snapshots", "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func blobCount(t testing.TB, b *Builder) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(b.store.root, "content", "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestPullThroughAMirror(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	img := newImage(t, func(c *image.Config) { c.Config.Env = []string{"A=b"} },
		newLayer(t, gzipped, "etc/", "", "etc/one", "1", "tmp/", ""),
		newLayer(t, zstdized, "etc/two", "2"),
		newLayer(t, plain, "etc/.wh.one", ""))
	desc := r.push("library/busybox", "latest", img)
	b := newBuilder(t)
	var events []image.Event
	var mu sync.Mutex
	job := &job{id: "j", emit: func(e image.Event) { mu.Lock(); events = append(events, e); mu.Unlock() }}
	got, err := b.pull(testContext(t), image.PullRequest{Reference: "busybox", Registries: r.settings()}, job)
	if err != nil {
		t.Fatal(err)
	}
	if got.Record.Digest != string(desc.Digest) || len(got.Record.Layers) != 3 {
		t.Errorf("record %+v, want digest %s and 3 layers", got.Record, desc.Digest)
	}
	if n := got.Names[0]; n.Reference != "docker.io/library/busybox:latest" || n.Digest != string(desc.Digest) || n.Pulled.IsZero() {
		t.Errorf("name %+v", n)
	}
	if got.Record.Config.Config.Env[0] != "A=b" {
		t.Errorf("config %+v", got.Record.Config.Config)
	}
	if read(t, b, got.Record, "etc/two") != "2" {
		t.Error("the second layer is missing")
	}
	for _, l := range got.Record.Layers {
		if filepath.IsAbs(l.Folder) || l.DiffID == "" {
			t.Errorf("layer %+v, want a relative folder and a diff id", l)
		}
	}
	// The second layer did not describe /etc: it must look like the first's.
	top := filepath.Join(b.store.stateDir, got.Record.Layers[1].Folder, "etc")
	bottom := filepath.Join(b.store.stateDir, got.Record.Layers[0].Folder, "etc")
	a, _ := os.Stat(top)
	z, _ := os.Stat(bottom)
	if a.Mode() != z.Mode() || !a.ModTime().Equal(z.ModTime()) {
		t.Errorf("implied directory: %v %v, below: %v %v", a.Mode(), a.ModTime(), z.Mode(), z.ModTime())
	}
	for _, l := range img.layers {
		checkLayerEvents(t, events, fromBytes(l.mediaType, l.blob))
	}
	// Nothing but what the lease holds stays.
	if err := b.store.collect(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if n := layerFolders(t, b); n != 3 {
		t.Errorf("%d layer folders after collection, want 3", n)
	}
	again, err := b.pull(testContext(t), image.PullRequest{Reference: "busybox", Registries: r.settings()}, nil)
	if err != nil || again.Record.Digest != got.Record.Digest || again.Record.Layers[0] != got.Record.Layers[0] {
		t.Errorf("second pull: %+v, %v", again.Record, err)
	}
}

// checkLayerEvents: a layer's size is told before its first byte, then bytes
// that only grow up to the size, then its end, once.
func checkLayerEvents(t *testing.T, events []image.Event, layer ocispec.Descriptor) {
	t.Helper()
	var told []string
	last := int64(0)
	for _, e := range events {
		if e.Vertex != string(layer.Digest) {
			continue
		}
		if e.Total != layer.Size || e.Current < last || e.Current > e.Total {
			t.Errorf("layer of %d bytes: after %d comes %+v", layer.Size, last, e)
		}
		last = e.Current
		if n := len(told); n == 0 || told[n-1] != e.Action {
			told = append(told, e.Action)
		}
		if (e.Status == image.StatusDone) != (e.Action == "Pull complete") {
			t.Errorf("told %+v", e)
		}
	}
	if got := strings.Join(told, ", "); got != "Pulling fs layer, Downloading, Pull complete" || last != layer.Size {
		t.Errorf("layer of %d bytes: told %s, last %d bytes", layer.Size, got, last)
	}
}

func TestPullChoosesThePlatform(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	ours := r.push("library/app", "", newImage(t, nil, newLayer(t, gzipped, "a", "ours")))
	other := r.push("library/app", "", newImage(t, func(c *image.Config) { c.Architecture = "s390x" }, newLayer(t, gzipped, "a", "theirs")))
	other.Platform = &ocispec.Platform{OS: "linux", Architecture: "s390x"}
	put := func(tag string, entries ...ocispec.Descriptor) {
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries}
		index.SchemaVersion = 2
		raw, _ := json.Marshal(index)
		r.manifest("library/app", tag, ocispec.MediaTypeImageIndex, raw)
	}
	put("both", other, ours)
	put("theirs", other)
	b := newBuilder(t)
	got, err := b.pull(testContext(t), image.PullRequest{Reference: "app:both", Registries: r.settings()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Record.Digest != string(ours.Digest) || got.Names[0].RepoDigest == got.Record.Digest {
		t.Errorf("pulled %+v", got)
	}
	_, err = b.pull(testContext(t), image.PullRequest{Reference: "app:theirs", Registries: r.settings()}, nil)
	if code(err) != image.CodePlatform || !strings.Contains(err.Error(), "only for linux/s390x") {
		t.Errorf("error %v", err)
	}
	got, err = b.pull(testContext(t), image.PullRequest{Reference: "app:both", Platform: "linux/s390x", Registries: r.settings()}, nil)
	if err != nil || got.Record.Digest != string(other.Digest) {
		t.Errorf("foreign platform: %+v, %v", got.Record, err)
	}
}

func code(err error) string {
	var c *coded
	if errors.As(err, &c) {
		return c.code
	}
	return ""
}

func TestPullRefuses(t *testing.T) {
	kerneltest.NeedRoot(t)
	good := newLayer(t, gzipped, "a", strings.Repeat("content ", 1000))
	hostile := func(name, link string, kind byte) testLayer {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		w.WriteHeader(&tar.Header{Name: name, Linkname: link, Typeflag: kind, Mode: 0o644})
		w.Close()
		return compressed(t, gzipped, out.Bytes())
	}
	tests := []struct {
		name  string
		img   testImage
		spoil func(*registry, testImage)
		code  string
		text  string
	}{
		{"a layer with other content than its digest", newImage(t, nil, newLayer(t, plain, "a", "content")), func(r *registry, i testImage) {
			r.corrupt(i.layers[0].blob, func(b []byte) []byte { b[600] ^= 1; return b })
		}, image.CodeDigest, ""},
		{"a layer that is too short", newImage(t, nil, newLayer(t, plain, "a", "content", "b", strings.Repeat("b", 9000))), func(r *registry, i testImage) {
			r.corrupt(i.layers[0].blob, func(b []byte) []byte { return b[:len(b)-2048] })
		}, "", ""},
		{"a layer that is too long", newImage(t, nil, newLayer(t, plain, "a", "content")), func(r *registry, i testImage) {
			r.corrupt(i.layers[0].blob, func(b []byte) []byte { return append(b, make([]byte, 4096)...) })
		}, "", ""},
		{"a configuration that is not what its digest says", newImage(t, nil, good), func(r *registry, i testImage) {
			r.corrupt(i.config, func(b []byte) []byte { b[len(b)-2] ^= 1; return b })
		}, image.CodeDigest, ""},
		{"a wrong diff id", newImage(t, func(c *image.Config) { c.RootFS.DiffIDs[0] = "sha256:" + ocispecZero }, good), nil, "", "the image's configuration says"},
		{"a diff id that is a path", newImage(t, func(c *image.Config) { c.RootFS.DiffIDs[0] = "sha256:../../x" }, good), nil, "", "bad digest"},
		{"fewer diff ids than layers", newImage(t, func(c *image.Config) { c.RootFS.DiffIDs = nil }, good), nil, "", "names 0 layers"},
		{"another operating system", newImage(t, func(c *image.Config) { c.OS = "windows" }, good), nil, image.CodePlatform, "no image for"},
		{"a layer that climbs out", newImage(t, nil, hostile("../../../../etc/evil", "", tar.TypeReg)), nil, "", "leaves the archive"},
		{"a layer with a hard link to outside", newImage(t, nil, hostile("x", "/etc/passwd", tar.TypeLink)), nil, "", "cannot link"},
		{"a layer with a whiteout of ..", newImage(t, nil, hostile(".wh...", "", tar.TypeReg)), nil, "", "bad whiteout"},
		{"a layer that is no archive", newImage(t, nil, compressed(t, gzipped, bytes.Repeat([]byte("no tar "), 500))), nil, "", "cannot read archive"},
		{"a layer in xz", newImage(t, nil, compressed(t, plain, append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, make([]byte, 600)...))), nil, "", "xz compression"},
		{"a zstd window of 2 GB", newImage(t, nil, compressed(t, plain, append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8}, make([]byte, 600)...))), nil, "", "window size exceeded"},
	}
	r := newRegistry(t)
	b := newBuilder(t)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tag := "t" + string(rune('a'+i))
			r.t = t
			r.push("library/bad", tag, test.img)
			if test.spoil != nil {
				test.spoil(r, test.img)
			}
			_, err := b.pull(testContext(t), image.PullRequest{Reference: "bad:" + tag, Registries: r.settings()}, nil)
			if err == nil || !strings.Contains(err.Error(), test.text) || test.code != "" && code(err) != test.code {
				t.Errorf("error %q (%s), want %q (%s)", err, code(err), test.text, test.code)
			}
			if err := b.store.collect(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if f, n := layerFolders(t, b), blobCount(t, b); f != 0 || n != 0 {
				t.Errorf("%d layer folders and %d blobs are left", f, n)
			}
		})
	}
}

const ocispecZero = "0000000000000000000000000000000000000000000000000000000000000000"

func TestPullOfNothing(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	b := newBuilder(t)
	for _, test := range []struct{ ref, code, text string }{
		{strings.TrimPrefix(r.url, "http://") + "/library/nothing", image.CodeNotFound, "not found"},
		{"bad//name", "", "bad image reference"},
		{"127.0.0.1:1/x", "", "connection refused"},
	} {
		_, err := b.pull(testContext(t), image.PullRequest{Reference: test.ref, Registries: image.Registries{}}, nil)
		if err == nil || code(err) != test.code || !strings.Contains(err.Error(), test.text) {
			t.Errorf("pull of %s gives %v (%s), want %q (%s)", test.ref, err, code(err), test.text, test.code)
		}
	}
}

func TestReleaseKeepsSharedLayers(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	base, one, two := newLayer(t, gzipped, "base", "0"), newLayer(t, gzipped, "one", "1"), newLayer(t, gzipped, "two", "2")
	r.push("library/one", "latest", newImage(t, nil, base, one))
	r.push("library/two", "latest", newImage(t, nil, base, two))
	b := newBuilder(t)
	var records [2]image.Record
	var group sync.WaitGroup
	for i, name := range []string{"one", "two"} { // at once: the shared layer comes once
		group.Go(func() {
			got, err := b.pull(testContext(t), image.PullRequest{Reference: name, Registries: r.settings()}, nil)
			if err != nil {
				t.Error(err)
			}
			records[i] = got.Record
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	if records[0].Layers[0].Folder != records[1].Layers[0].Folder {
		t.Errorf("the shared layer lies in %s and %s", records[0].Layers[0].Folder, records[1].Layers[0].Folder)
	}
	if err := b.store.Release(t.Context(), records[0].Digest); err != nil {
		t.Fatal(err)
	}
	if read(t, b, records[1], "base") != "0" || layerFolders(t, b) != 2 {
		t.Errorf("after the release of one image there are %d folders, want 2", layerFolders(t, b))
	}
	if err := b.store.Release(t.Context(), records[1].Digest); err != nil {
		t.Fatal(err)
	}
	if f, n := layerFolders(t, b), blobCount(t, b); f != 0 || n != 0 {
		t.Errorf("after the release of both images there are %d folders and %d blobs", f, n)
	}
	if err := b.store.Release(t.Context(), records[1].Digest); err != nil {
		t.Errorf("a second release gives %v", err)
	}
}

func TestKeepDropsWhatNoRecordHas(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	r.push("library/one", "latest", newImage(t, nil, newLayer(t, gzipped, "one", "1")))
	r.push("library/two", "latest", newImage(t, nil, newLayer(t, gzipped, "two", "2")))
	b := newBuilder(t)
	one, err := b.pull(testContext(t), image.PullRequest{Reference: "one", Registries: r.settings()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.pull(testContext(t), image.PullRequest{Reference: "two", Registries: r.settings()}, nil); err != nil {
		t.Fatal(err)
	}
	gone := "sha256:" + ocispecZero
	missing, err := b.store.Keep(t.Context(), []string{one.Record.Digest, gone})
	if err != nil || len(missing) != 1 || missing[0] != gone {
		t.Errorf("missing %v, %v", missing, err)
	}
	if n := layerFolders(t, b); n != 1 {
		t.Errorf("%d layer folders, want 1", n)
	}
}

func TestAKilledBuilderLeavesNothing(t *testing.T) {
	kerneltest.NeedRoot(t)
	state := t.TempDir()
	s, err := OpenStore(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	ctx, _, err := s.withTemporary(testContext(t)) // never given back
	if err != nil {
		t.Fatal(err)
	}
	layer, err := s.prepare(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(layer.folder, "half"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.writeBlob(ctx, fromBytes("x", []byte("blob")), []byte("blob")); err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenStore(impatient, state); !errors.Is(err, ErrLocked) {
		t.Errorf("a second store gives %v, want ErrLocked", err)
	}
	closed, old := make(chan error, 1), s
	go func() { closed <- old.Close() }() // it leaves, and the next one waits for that
	if s, err = OpenStore(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := &Builder{store: s}
	if f, n := layerFolders(t, b), blobCount(t, b); f != 0 || n != 0 {
		t.Errorf("%d layer folders and %d blobs are left", f, n)
	}
}
