package builder

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/image"
)

// authority is a certificate authority of this test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	a.cert, a.key, a.pem = a.issue(&x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "test authority"},
	})
	return a
}

func (a *authority) issue(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	by, byKey := c, key
	if a.cert != nil {
		by, byKey = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), byKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serve answers by TLS with a certificate for the address, or for another
// name if there is one.
func (a *authority) serve(handler http.Handler, name string) *httptest.Server {
	a.t.Helper()
	c := &x509.Certificate{Subject: pkix.Name{CommonName: "registry"}}
	if name == "" {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	} else {
		c.DNSNames = []string{name}
	}
	cert, key, _ := a.issue(c)
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

// proxyTo passes requests on to the registry, which may change the answers.
func proxyTo(t testing.TB, r *registry, change func(*http.Response) error) http.Handler {
	t.Helper()
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(u); p.Out.Host = u.Host },
		ModifyResponse: change, ErrorLog: log.New(io.Discard, "", 0),
	}
}

func hostOf(raw string) string { return raw[strings.Index(raw, "://")+3:] }

func TestTLSOfRegistries(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	r.push("library/app", "1", newImage(t, nil, newLayer(t, gzipped, "a", "b")))
	ca := newAuthority(t)
	good, other := ca.serve(proxyTo(t, r, nil), ""), ca.serve(proxyTo(t, r, nil), "other.test")
	certs := t.TempDir()
	trust := func(server *httptest.Server) string {
		dir := filepath.Join(certs, hostOf(server.URL))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "ca.crt"), ca.pem, 0o644); err != nil {
			t.Fatal(err)
		}
		return certs
	}
	for _, test := range []struct {
		name, mirror, certs string
		insecure            []string
		fails               string
	}{
		{"an unknown authority is refused", good.URL, "", nil, "signed by an authority that is not known here"},
		{"an unknown authority of an insecure mirror", good.URL, "", []string{hostOf(good.URL)}, ""},
		{"an authority in certs.d", good.URL, trust(good), nil, ""},
		{"another host's certificate is refused", other.URL, trust(other), nil, "is another host's"},
		{"another host's certificate of an insecure mirror", other.URL, "", []string{hostOf(other.URL)}, ""},
		{"plain HTTP where https is asked for", "https://" + hostOf(r.url), "", nil, "speaks plain HTTP: add it to insecure_registries"},
		{"plain HTTP of an insecure mirror", "https://" + hostOf(r.url), "", []string{hostOf(r.url)}, ""},
		{"plain HTTP where http is asked for", r.url, "", nil, ""},
		{"a mirror without a scheme is https", hostOf(good.URL), trust(good), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBuilder(t)
			b.certs = []string{filepath.Join(certs, "none"), test.certs}
			_, err := b.pull(testContext(t), image.PullRequest{Reference: "nowhere.invalid/library/app:1", Registries: image.Registries{
				Mirrors: map[string][]string{"nowhere.invalid": {test.mirror}}, Insecure: test.insecure,
			}}, nil)
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
		})
	}
	// A registry on loopback is asked without certificates, as docker does.
	b := newBuilder(t)
	for _, server := range []string{good.URL, other.URL, r.url} {
		if _, err := b.pull(testContext(t), image.PullRequest{Reference: hostOf(server) + "/library/app:1"}, nil); err != nil {
			t.Errorf("pull from %s: %v", server, err)
		}
	}
}

// A mirror that does not give the image, or gives another, is passed over; in
// a build's FROM too.
func TestABadMirrorIsPassedOver(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	layer := newLayer(t, gzipped, "a", "right")
	img := newImage(t, nil, layer, newLayer(t, gzipped, "b", strings.Repeat("second", 1000)))
	desc := r.push("library/app", "1", img)
	answer := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	// spoil changes the body of what the path names.
	spoil := func(part string, change func([]byte) []byte) http.Handler {
		return proxyTo(t, r, func(a *http.Response) error {
			if !strings.Contains(a.Request.URL.Path, part) || a.Request.Method != http.MethodGet {
				return nil
			}
			raw, err := io.ReadAll(a.Body)
			raw = change(raw)
			a.Body = io.NopCloser(bytes.NewReader(raw))
			a.ContentLength = int64(len(raw))
			a.Header.Set("Content-Length", "")
			a.Header.Del("Content-Length")
			return err
		})
	}
	flip := func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw }
	cut := func(raw []byte) []byte { return raw[:len(raw)/2] }
	blob := string(fromBytes("", layer.blob).Digest)
	config := string(fromBytes("", img.config).Digest)
	for _, test := range []struct {
		name   string
		mirror http.Handler
		says   string // if it is the only one
	}{
		{"not found", answer(404), "has no image"},
		{"unauthorized", answer(401), "login"},
		{"forbidden", answer(403), "login"},
		{"internal error", answer(500), "500 Internal Server Error"},
		{"unavailable", answer(503), "503 Service Unavailable"},
		{"too many requests", answer(429), "429 Too Many Requests"},
		{"a page of HTML", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>log in to this hotel</html>") }), ""},
		{"a manifest of other content", spoil("/manifests/", flip), "digest"},
		{"a configuration of other content", spoil(config, flip), "digest"},
		{"a layer of other content", spoil(blob, flip), "digest"},
		{"a layer that is cut", spoil(blob, cut), ""},
		{"a layer that is not there", proxyTo(t, r, func(a *http.Response) error {
			if strings.Contains(a.Request.URL.Path, blob) {
				a.StatusCode = 404
			}
			return nil
		}), "no image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mirror := httptest.NewServer(test.mirror)
			defer mirror.Close()
			b := newBuilder(t)
			pull := func(mirrors ...string) (image.Result, error) {
				return b.pull(testContext(t), image.PullRequest{Reference: "nowhere.invalid/library/app:1", Registries: image.Registries{
					Mirrors: map[string][]string{"nowhere.invalid": mirrors},
				}}, nil)
			}
			if _, err := pull(mirror.URL); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), mirror.URL) {
				t.Errorf("alone: error %v, want %q and the mirror's name", err, test.says)
			}
			got, err := pull(mirror.URL, r.url)
			if err != nil {
				t.Fatalf("with another mirror: %v", err)
			}
			if got.Record.Digest != string(desc.Digest) || read(t, b, got.Record, "a") != "right" {
				t.Errorf("with another mirror: %+v", got.Record)
			}
		})
	}
}

func TestErrorsOfManifests(t *testing.T) {
	kerneltest.NeedRoot(t)
	r := newRegistry(t)
	r.push("library/app", "1", newImage(t, nil, newLayer(t, gzipped, "a", "b")))
	b := newBuilder(t)
	host := hostOf(r.url)
	for _, test := range []struct{ reference, platform, code, text string }{
		{host + "/library/app:none", "", image.CodeNotFound, host + " has no image " + host + "/library/app:none"},
		{host + "/library/none", "", image.CodeNotFound, host + " has no image " + host + "/library/none:latest"},
		{host + "/library/app:1", "linux/s390x", image.CodePlatform, "no image for linux/s390x, only for linux/"},
	} {
		_, err := b.pull(testContext(t), image.PullRequest{Reference: test.reference, Platform: test.platform}, nil)
		if err == nil || !strings.Contains(err.Error(), test.text) || code(err) != test.code {
			t.Errorf("%s: error %v (%s), want %q (%s)", test.reference, err, code(err), test.text, test.code)
		}
	}
}

// A build's FROM finds its image as a pull does.
func TestFROMPassesABadMirrorOver(t *testing.T) {
	kerneltest.NeedRoot(t)
	reg := newRegistry(t)
	layer := newLayer(t, gzipped, "a", "right")
	reg.push("library/app", "1", newImage(t, nil, layer))
	blob := string(fromBytes("", layer.blob).Digest)
	for name, mirror := range map[string]http.Handler{
		"internal error": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }),
		"forbidden":      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }),
		"other content": proxyTo(t, reg, func(a *http.Response) error {
			if strings.Contains(a.Request.URL.Path, blob) && a.Request.Method == http.MethodGet {
				raw, err := io.ReadAll(a.Body)
				raw[len(raw)/2] ^= 1
				a.Body = io.NopCloser(bytes.NewReader(raw))
				return err
			}
			return nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			bad := httptest.NewServer(mirror)
			defer bad.Close()
			r := newRig(t, Options{})
			got, err := r.client.Build(t.Context(), image.BuildRequest{
				Context: buildContext(t, "file", "x"), Inline: "FROM nowhere.invalid/library/app:1\nCOPY file /file\n",
				Registries: image.Registries{Mirrors: map[string][]string{"nowhere.invalid": {bad.URL, reg.url}}},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if read(t, r.Builder, got.Record, "a") != "right" {
				t.Error("the base is another")
			}
		})
	}
}
