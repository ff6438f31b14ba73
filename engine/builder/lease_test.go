package builder

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mycompose/mycompose/engine/image"
)

// slowMirror passes requests on to the registry, but answers for one blob only
// after open is closed; asked is closed when that blob is asked for.
func slowMirror(t *testing.T, r *registry, digest string) (mirror string, asked, open chan struct{}) {
	t.Helper()
	target, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	pass := httputil.NewSingleHostReverseProxy(target)
	asked, open = make(chan struct{}), make(chan struct{})
	tell := sync.OnceFunc(func() { close(asked) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodGet && strings.HasSuffix(q.URL.Path, digest) {
			tell()
			<-open
		}
		pass.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked, open
}

// BuildKit opens with the first build and drops every lease that looks
// temporary to it.
func TestTheFirstBuildKeepsTheLeaseOfAPullUnderWay(t *testing.T) {
	r := newRig(t, Options{})
	reg := newRegistry(t)
	img := newImage(t, nil, newLayer(t, gzipped, "early", "1"), newLayer(t, gzipped, "late", "2"))
	desc := reg.push("library/slow", "1", img)
	mirror, asked, open := slowMirror(t, reg, string(fromBytes("", img.layers[1].blob).Digest))

	type pulled struct {
		image.Result
		err error
	}
	done := make(chan pulled, 1)
	go func() {
		result, err := r.pull(testContext(t), image.PullRequest{Reference: "slow:1",
			Registries: image.Registries{Mirrors: map[string][]string{"docker.io": {mirror}}}}, nil)
		done <- pulled{result, err}
	}()
	select {
	case <-asked:
	case got := <-done:
		t.Fatalf("the pull ended before its second layer: %v", got.err)
	}
	dir := buildContext(t, "Dockerfile", "FROM scratch\nCOPY a /a\n", "a", "a")
	if _, err := r.client.Build(t.Context(), image.BuildRequest{Context: dir}, nil); err != nil {
		t.Errorf("the first build: %v", err)
	}
	close(open)
	got := <-done
	if got.err != nil || got.Record.Digest != string(desc.Digest) {
		t.Fatalf("the pull beside it: %v", got.err)
	}
	if read(t, r.Builder, got.Record, "early") != "1" || read(t, r.Builder, got.Record, "late") != "2" {
		t.Error("files are missing")
	}
}
