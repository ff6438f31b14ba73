package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// registry is Debian's docker-registry on a loopback port of its own.
type registry struct {
	t   testing.TB
	url string // http://127.0.0.1:PORT
	// user and password are wanted by one with logins.
	user, password string
}

func newRegistry(t testing.TB) *registry { return newRegistryWith(t, "", "") }

// newRegistryWith wants the login if there is one.
func newRegistryWith(t testing.TB, user, password string) *registry {
	t.Helper()
	program := kerneltest.NeedProgram(t, "docker-registry")
	dir := tempDir(t)
	port := freePort(t)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %s/data}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: '127.0.0.1:%d'}\n", dir, port)
	if user != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "htpasswd"), append([]byte(user+":"), hash...), 0o600); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n", dir)
	}
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "serve", path)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("registry: %s", log.String())
		}
	})
	r := &registry{t: t, user: user, password: password, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	kerneltest.Eventually(t, deadline, func() error {
		answer, err := http.Get(r.url + "/v2/")
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
	return r
}

func freePort(t testing.TB) int { return kerneltest.FreePorts(t, 1) }

// imageConfig is the part of an image config that the tests set.
type imageConfig struct {
	Env          []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
}

// push stores a root file system as an image of one layer.
func (r *registry) push(name, tag, rootTar string, config imageConfig, drop string) {
	r.t.Helper()
	layer, diffID := compress(r.t, rootTar, drop)
	image, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diffID}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	layerDescriptor := r.blob(name, layer, "application/vnd.oci.image.layer.v1.tar+gzip")
	imageDescriptor := r.blob(name, image, "application/vnd.oci.image.config.v1+json")
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": imageDescriptor, "layers": []any{layerDescriptor},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.put(fmt.Sprintf("%s/v2/%s/manifests/%s", r.url, name, tag), manifestType, manifest)
}

// compress gzips a tar without the entries that end in drop.
func compress(t testing.TB, path, drop string) (layer []byte, diffID string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out bytes.Buffer
	packed, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	sum := sha256.New()
	w := tar.NewWriter(io.MultiWriter(packed, sum))
	in := tar.NewReader(f)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if drop != "" && strings.HasSuffix(h.Name, drop) {
			continue
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, in); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// blob uploads content and returns its descriptor.
func (r *registry) blob(name string, content []byte, mediaType string) map[string]any {
	r.t.Helper()
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	answer := r.send(http.MethodPost, fmt.Sprintf("%s/v2/%s/blobs/uploads/", r.url, name), "", nil)
	answer.Body.Close()
	location := answer.Header.Get("Location")
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	r.put(location+separator+"digest="+digest, "application/octet-stream", content)
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

func (r *registry) send(method, url, mediaType string, content []byte) *http.Response {
	r.t.Helper()
	request, err := http.NewRequest(method, url, bytes.NewReader(content))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", mediaType)
	if r.user != "" {
		request.SetBasicAuth(r.user, r.password)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

func (r *registry) put(url, mediaType string, content []byte) {
	r.t.Helper()
	answer := r.send(http.MethodPut, url, mediaType, content)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		raw, _ := io.ReadAll(answer.Body)
		r.t.Fatalf("PUT %s: %s: %s", url, answer.Status, raw)
	}
}
