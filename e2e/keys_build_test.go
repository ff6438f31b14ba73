package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const buildKeys = `
services:
  built:
    <<: *base
    image: keys/built
    pull_policy: never
    build:
      context: ./ctx
      dockerfile: ../other.Dockerfile
      args: {GIVEN: arg, EMPTY: "", FROM_HOST: }
      target: middle
      labels: {com.example.l: label}
      tags: ["keys/second:v2"]
      secrets: [token, {source: token, target: renamed}]
      extra_hosts: ["far=192.0.2.9"]
      network: none
      pull: false
  fresh:
    <<: *base
    image: keys/fresh
    pull_policy: never
    build:
      context: .
      no_cache: true
      dockerfile_inline: |
        FROM busybox
        RUN cat /proc/sys/kernel/random/uuid > /made
secrets: {token: {file: ./token.txt}}
`

const otherDockerfile = `
FROM busybox AS first
COPY file /file
FROM first AS middle
ARG GIVEN=default
ARG EMPTY=default
ARG FROM_HOST=default
RUN echo "$GIVEN-$EMPTY-$FROM_HOST" > /args
RUN --mount=type=secret,id=token --mount=type=secret,id=renamed cat /run/secrets/token /run/secrets/renamed | wc -c > /secret-size
RUN cp /etc/hosts /hosts-seen; ls /sys/class/net > /links
FROM middle AS last
RUN false
`

// What a build is told, seen in the image that comes out of it.
func TestKeysOfBuildHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	h.env = append(h.env, "FROM_HOST=host")
	dir := h.keys("build", buildKeys, map[string]string{
		"other.Dockerfile": otherDockerfile, "ctx/file": "in context\n", "token.txt": "s3cret",
	})
	h.looks(dir, []look{
		{"context, dockerfile", "built", "cat /file", "in context"},
		{"args", "built", "cat /args", "arg--host"},
		{"secrets", "built", "cat /secret-size; ls /run/secrets 2>/dev/null | wc -l", "12 0"},
		{"extra_hosts", "built", "grep -c '192.0.2.9.*far' /hosts-seen", "1"},
		{"network: none", "built", "cat /links", "lo"},
	})
	tagged := h.keys("tagged", "services: {tagged: {<<: *base, image: \"keys/second:v2\", pull_policy: never}}\n", nil)
	h.looks(tagged, []look{{"tags", "tagged", "cat /file", "in context"}})
	if out := h.must("", "image", "ls", "--format", "json"); !strings.Contains(out, `"keys/second"`) {
		t.Errorf("build.tags: image ls does not list keys/second: %s", out)
	}
	if !h.recorded(`"com.example.l":"label"`) {
		t.Error("build.labels: no image record has the label")
	}
	made := func() string { return h.must(dir, "exec", "-T", "fresh", "cat", "/made") }
	before := made()
	h.must(dir, "up", "-d", "--build")
	if made() == before {
		t.Error("build.no_cache: the step was taken from the cache")
	}
	// pull_policy never does not ask for an image, missing one is the error.
	never := h.project("never", map[string]string{"compose.yaml": "services: {a: {image: \"nosuch/image:1\", pull_policy: never}}\n"})
	if r := h.run(never, "up", "-d"); r.code == 0 || !strings.Contains(r.stderr, "nosuch/image:1") {
		t.Errorf("pull_policy never: %d\n%s", r.code, r.stderr)
	}
	// pull_policy build builds again at each up.
	file := strings.Replace(keyHead+buildKeys, "image: keys/built\n    pull_policy: never\n", "image: keys/built\n    pull_policy: build\n", 1)
	if err := os.WriteFile(dir+"/compose.yaml", []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/ctx/file", []byte("changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "up", "-d")
	h.looks(dir, []look{{"pull_policy: build", "built", "cat /file", "changed"}})
}

// recorded reports whether an image record of the state folder has the text.
func (h *host) recorded(text string) bool {
	found := false
	err := filepath.WalkDir(h.state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, "image") {
			return nil // a file may be gone again
		}
		raw, err := os.ReadFile(path)
		if err == nil && strings.Contains(strings.ReplaceAll(string(raw), " ", ""), text) {
			found = true
		}
		return nil
	})
	return err == nil && found
}
