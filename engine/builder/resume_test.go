package builder

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
)

// brokenMirror passes requests on to the registry, but breaks the first
// answer with the big blob in its middle. Of the rest it changes a byte if lie
// is set.
func brokenMirror(t *testing.T, r *registry, digest string, blob []byte, lie bool) (mirror string, ranges *atomic.Int32) {
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	ranges = &atomic.Int32{}
	var broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Method != http.MethodGet || !strings.HasSuffix(q.URL.Path, digest):
			pass.ServeHTTP(w, q)
		case broken.CompareAndSwap(false, true):
			w.Header().Set("Content-Length", itoa(len(blob)))
			w.Write(blob[:len(blob)/2])
			panic(http.ErrAbortHandler)
		default:
			if q.Header.Get("Range") != "" {
				ranges.Add(1)
			}
			if !lie {
				pass.ServeHTTP(w, q)
				return
			}
			changed := append([]byte{}, blob...)
			changed[len(blob)-len(blob)/4] ^= 1
			http.ServeContent(w, q, "", time.Time{}, strings.NewReader(string(changed)))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, ranges
}

func TestABrokenDownloadIsResumedAndVerified(t *testing.T) {
	kerneltest.NeedRoot(t)
	noise := make([]byte, 4<<20)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(noise)
	img := newImage(t, nil, newLayer(t, plain, "noise", string(noise)))
	r := newRegistry(t)
	desc := r.push("library/big", "1", img)
	blob := img.layers[0].blob
	digest := string(fromBytes("", blob).Digest)
	for _, lie := range []bool{false, true} {
		b := newBuilder(t)
		mirror, ranges := brokenMirror(t, r, digest, blob, lie)
		got, err := b.pull(testContext(t), image.PullRequest{Reference: "big:1",
			Registries: image.Registries{Mirrors: map[string][]string{"docker.io": {mirror}}}}, nil)
		if ranges.Load() == 0 {
			t.Error("the download was not resumed")
		}
		if !lie && (err != nil || got.Record.Digest != string(desc.Digest) || read(t, b, got.Record, "noise") != string(noise)) {
			t.Errorf("the resumed pull: %v", err)
		}
		if lie {
			if code(err) != image.CodeDigest {
				t.Errorf("a lying mirror gives %v (%s)", err, code(err))
			}
			if err := b.store.collect(testContext(t)); err != nil {
				t.Fatal(err)
			}
			if f, n := layerFolders(t, b), blobCount(t, b); f != 0 || n != 0 {
				t.Errorf("%d layer folders and %d blobs are left", f, n)
			}
		}
	}
}
