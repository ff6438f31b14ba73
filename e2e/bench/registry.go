package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// registry is Debian's docker-registry on one port of a network namespace's
// loopback. Several of them may share their storage.
type registry struct{ process *exec.Cmd }

// startRegistry starts one in a world, or on the host.
func startRegistry(dir string, w *world, port int) (*registry, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		return nil, errors.New("docker-registry is missing: run make setup")
	}
	config := filepath.Join(dir, fmt.Sprintf("registry-%d.yml", port))
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %s/registry}}\nhttp: {addr: '127.0.0.1:%d'}\n", dir, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	r := &registry{process: exec.Command(program, "serve", config)}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	work := func() error {
		if err := r.process.Start(); err != nil {
			return err
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				return conn.Close()
			}
			if time.Now().After(end) {
				return fmt.Errorf("docker-registry does not answer: %w", err)
			}
		}
	}
	if w == nil {
		return r, work()
	}
	return r, w.do(work)
}

func (r *registry) end() {
	if r != nil && r.process.Process != nil {
		_ = r.process.Process.Kill() // of our own
		_ = r.process.Wait()
	}
}

// pushSource stores an image "bench/source:1" whose layers are folders of Go's
// source, thousands of real files.
func pushSource(dir string, folders []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	r, err := startRegistry(dir, nil, port)
	if err != nil {
		return err
	}
	defer r.end()
	base := fmt.Sprintf("http://127.0.0.1:%d/v2/bench/source", port)
	var layers []map[string]any
	var ids []string
	for _, folder := range folders {
		blob, id, err := layer(folder)
		if err != nil {
			return err
		}
		digest, err := pushBlob(base, blob)
		if err != nil {
			return err
		}
		layers = append(layers, map[string]any{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(blob), "digest": digest})
		ids = append(ids, id)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Cmd": []string{"/bin/true"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		return err
	}
	digest, err := pushBlob(base, config)
	if err != nil {
		return err
	}
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind, "layers": layers,
		"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest},
	})
	if err != nil {
		return err
	}
	_, err = send(http.MethodPut, base+"/manifests/1", kind, manifest)
	return err
}

// layer packs a folder as gzip, and returns that and the tar's digest.
func layer(folder string) (blob []byte, id string, err error) {
	tar, err := exec.Command("tar", "-C", filepath.Dir(filepath.Dir(folder)), "-cf", "-", filepath.Join(filepath.Base(filepath.Dir(folder)), filepath.Base(folder))).Output()
	if err != nil {
		return nil, "", fmt.Errorf("cannot pack %s: %w", folder, err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(tar); err != nil {
		return nil, "", err
	}
	if err := z.Close(); err != nil {
		return nil, "", err
	}
	return packed.Bytes(), fmt.Sprintf("sha256:%x", sha256.Sum256(tar)), nil
}

// pushBlob uploads in one piece (distribution-spec, "POST then PUT").
func pushBlob(base string, blob []byte) (string, error) {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	where, err := send(http.MethodPost, base+"/blobs/uploads/", "", nil)
	if err != nil {
		return "", err
	}
	query := where.Query()
	query.Set("digest", digest)
	where.RawQuery = query.Encode()
	_, err = send(http.MethodPut, where.String(), "application/octet-stream", blob)
	return digest, err
}

// send does one request and returns the answer's Location.
func send(method, to, kind string, body []byte) (*url.URL, error) {
	request, err := http.NewRequest(method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s", method, to, answer.Status)
	}
	where, err := answer.Location()
	if errors.Is(err, http.ErrNoLocation) {
		err = nil
	}
	return where, err
}
