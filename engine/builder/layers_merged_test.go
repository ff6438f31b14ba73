package builder

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/tree"
)

// layerOf makes a gzipped layer of headers; a regular file's content is its
// Linkname.
func layerOf(t testing.TB, headers ...tar.Header) testLayer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 {
			h.Typeflag, h.Size, content, h.Linkname = tar.TypeReg, int64(len(h.Linkname)), h.Linkname, ""
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return compressed(t, gzipped, out.Bytes())
}

func dirEntry(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
func linkEntry(name, to string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}
func fileEntry(name, content string) tar.Header { return tar.Header{Name: name, Linkname: content} }

// view opens the image's root as a container would see it.
func view(t testing.TB, b *Builder, r image.Record) *tree.Root {
	t.Helper()
	mounted, err := rootfs.Mount(rootfs.Overlay{Layers: r.LowerDirs(b.store.stateDir)})
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	root, err := tree.FromFD(int(mounted.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// A layer's names mean what they mean over the layers below: bin/foo is in
// usr/bin where bin is a link to it.
func TestALayerWritesThroughLinksOfLowerLayers(t *testing.T) {
	kerneltest.NeedRoot(t)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	base := layerOf(t,
		dirEntry("usr/bin/"), fileEntry("usr/bin/old", "old"), fileEntry("usr/bin/kept", "kept"), linkEntry("bin", "usr/bin"),
		dirEntry("run/"), dirEntry("var/"), linkEntry("var/run", "/run"), linkEntry("deep", "var/run"),
		dirEntry("full/"), fileEntry("full/low", "low"), dirEntry("full/sub/"), fileEntry("full/sub/low", "low"), linkEntry("f", "full"),
		linkEntry("escape", "../../../../../.."+outside), linkEntry("absolute", outside), dirEntry(outside+"/"),
		linkEntry("mine", "usr/bin"), fileEntry("file", "file"), dirEntry("gone/"), fileEntry("gone/x", "x"),
	)
	for _, test := range []struct {
		name  string
		layer testLayer
		holds map[string]string // path → content, "" for none
	}{
		{"a relative link", layerOf(t, fileEntry("bin/foo", "foo")), map[string]string{"usr/bin/foo": "foo", "bin/foo": "foo", "usr/bin/old": "old"}},
		{"an absolute link", layerOf(t, fileEntry("var/run/pid", "1")), map[string]string{"run/pid": "1"}},
		{"a link to a link", layerOf(t, fileEntry("deep/er/pid", "1")), map[string]string{"run/er/pid": "1"}},
		{"links that climb out end at the root", layerOf(t, fileEntry("escape/a", "a"), fileEntry("absolute/b", "b")),
			map[string]string{outside + "/a": "a", outside + "/b": "b"}},
		{"a whiteout through a link", layerOf(t, fileEntry("bin/.wh.old", ""), fileEntry("bin/new", "new")),
			map[string]string{"usr/bin/old": "", "usr/bin/new": "new", "usr/bin/kept": "kept"}},
		{"an opaque directory through a link keeps what the layer brings", layerOf(t, fileEntry("f/sub/new", "new"), fileEntry("f/.wh..wh..opq", ""), fileEntry("f/after", "after")),
			map[string]string{"full/low": "", "full/sub/low": "", "full/sub/new": "new", "full/after": "after"}},
		{"a whiteout of what the layer brings", layerOf(t, fileEntry("bin/foo", "foo"), fileEntry("usr/bin/.wh.foo", "")), map[string]string{"usr/bin/foo": "foo"}},
		{"a hard link to a file below", layerOf(t, tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "bin/kept"}),
			map[string]string{"hard": "kept", "usr/bin/kept": "kept"}},
		{"a link of the layer to a directory below", layerOf(t, linkEntry("own", "usr/bin"), fileEntry("own/foo", "foo")), map[string]string{"usr/bin/foo": "foo"}},
		{"a directory in place of a link", layerOf(t, dirEntry("mine/"), fileEntry("mine/foo", "foo"), fileEntry("bin/bar", "bar")),
			map[string]string{"mine/foo": "foo", "mine/old": "", "usr/bin/foo": "", "usr/bin/bar": "bar"}},
		{"below a whiteout", layerOf(t, fileEntry(".wh.gone", ""), fileEntry("gone/y", "y")), map[string]string{"gone/y": "y", "gone/x": ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRegistry(t)
			top := layerOf(t, fileEntry("top", "top"))
			r.push("library/linked", "latest", newImage(t, nil, base, test.layer, top))
			b := newBuilder(t)
			got, err := b.pull(testContext(t), image.PullRequest{Reference: "linked", Registries: r.settings()}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.store.collect(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if n := layerFolders(t, b); n != 3 {
				t.Errorf("%d layer folders, want 3", n)
			}
			root := view(t, b, got.Record)
			test.holds["top"] = "top"
			for name, want := range test.holds {
				raw, err := root.ReadFile(strings.TrimPrefix(name, "/"), 1<<10)
				if string(raw) != want || (err != nil) != (want == "") {
					t.Errorf("%s holds %q, %v; want %q", name, raw, err, want)
				}
			}
			if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
				t.Errorf("outside the layer: %v, %v", left, err)
			}
		})
	}
}

// What leads nowhere also over the layers below is an error that names it.
func TestALayerBelowAFileIsRefused(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	r.push("library/bad", "latest", newImage(t, nil, layerOf(t, fileEntry("base", "x")), layerOf(t, fileEntry("file", "x"), fileEntry("file/below", "y"))))
	b := newBuilder(t)
	_, err := b.pull(testContext(t), image.PullRequest{Reference: "bad", Registries: r.settings()}, nil)
	if err == nil || !strings.Contains(err.Error(), "file/below") {
		t.Errorf("error %v, want one that names file/below", err)
	}
}
