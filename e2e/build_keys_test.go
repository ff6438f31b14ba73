package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const moreBuildKeys = `
services:
  base:
    build:
      dockerfile_inline: |
        FROM busybox
        RUN echo from the base > /base
  built:
    build:
      context: ./ctx
      additional_contexts:
        base: service:base
        folder: ./other
        pulled: docker-image://busybox
      shm_size: 32m
      ulimits: {nofile: {soft: 111, hard: 222}}
      network: side
      extra_hosts: ["host.test=host-gateway"]
      no_cache_filter: [fresh]
      ssh: [KEY]
    command: ["true"]
networks: {side: {}}
`

const moreBuildFile = `
FROM busybox AS fresh
RUN cat /proc/sys/kernel/random/uuid > /made
FROM busybox AS cached
RUN cat /proc/sys/kernel/random/uuid > /kept
FROM base
COPY --from=fresh /made /made
COPY --from=cached /kept /kept
COPY --from=folder file /file
COPY --from=pulled /bin/busybox /copied
RUN df -k /dev/shm | tail -n 1 | awk '{print $2}' > /shm; ulimit -n > /soft; ulimit -Hn > /hard
RUN ip -4 -o addr show dev eth0 | awk '{print $4}' | cut -d. -f1-3 > /own; grep host.test /etc/hosts | awk '{print $1}' | cut -d. -f1-3 > /gateway
RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo agent > /ssh
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch --mount=type=bind,from=folder,target=/seen cat /seen/file > /mounts && touch /cache/x /scratch/y
RUN --network=none ls /sys/class/net > /links
`

// sshKey writes a private key for a build's agent.
func sshKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tempDir(t), "id_ed25519")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Named contexts, limits, networks and mounts of a build, seen in its image.
// A plain build makes the network that it runs on.
func TestMoreKeysOfBuild(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("more", map[string]string{
		"compose.yaml":   strings.Replace(moreBuildKeys, "KEY", "default="+sshKey(t), 1),
		"ctx/Dockerfile": moreBuildFile, "other/file": "from the folder\n",
	})
	h.must(dir, "build", "built")
	cat := func(files string) string {
		t.Helper()
		return words(h.must(dir, "run", "--rm", "--no-deps", "built", "sh", "-c", "cat "+files))
	}
	for _, want := range []struct{ key, files, text string }{
		{"service: context", "/base", "from the base"},
		{"folder context, bind mount", "/file /mounts", "from the folder from the folder"},
		{"shm_size", "/shm", "32768"},
		{"ulimits", "/soft /hard", "111 222"},
		{"RUN --network=none", "/links", "lo"},
		{"ssh", "/ssh", "agent"},
	} {
		if got := cat(want.files); got != want.text {
			t.Errorf("%s: the image has %q, want %q", want.key, got, want.text)
		}
	}
	if own, gateway := cat("/own"), cat("/gateway"); own == "" || own != gateway {
		t.Errorf("network, host-gateway: the step was in %q, the gateway in %q", own, gateway)
	}
	again := h.must(dir, "build", "built")
	if fresh, cached := wasCached(again, "[fresh 2/2]"), wasCached(again, "[cached 2/2]"); fresh || !cached {
		t.Errorf("no_cache_filter: the stage fresh was cached: %v, another one: %v:\n%s", fresh, cached, again)
	}
	h.must(dir, "down")
}

// wasCached says whether a build took a step from its cache.
func wasCached(output, step string) bool {
	for line := range strings.Lines(output) {
		if number, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, step) {
			return strings.Contains(output, number+" CACHED\n")
		}
	}
	return false
}

// Each wrong build says where: in the compose file, and in the Dockerfile.
func TestAWrongBuildSaysWhere(t *testing.T) {
	h := newHost(t)
	h.busybox()
	for _, test := range []struct{ name, file, says string }{
		{"a bad instruction", "FROM busybox\nRUUN true\n", "compose.yaml:3:5: cannot build: Dockerfile:2: "},
		{"a step that fails", "FROM busybox\n\nRUN exit 3\n", "compose.yaml:3:5: cannot build: Dockerfile:3: "},
		{"a file that is not there", "FROM busybox\nCOPY nothing /\n", "compose.yaml:3:5: cannot build: Dockerfile:2: "},
		{"a security mode", "FROM busybox\nRUN --security=insecure true\n", "compose.yaml:3:5: cannot build: "},
		{"another machine's base", "FROM --platform=linux/s390x busybox\n", "this machine builds for linux/"},
		{"an empty Dockerfile", "", "compose.yaml:3:5: cannot build: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := h.project("wrong", map[string]string{"compose.yaml": "services:\n  a:\n    build: .\n", "Dockerfile": test.file})
			r := h.run(dir, "build")
			if err := want(r.stderr, test.says); err != nil || r.code == 0 {
				t.Errorf("exit code %d: %v", r.code, err)
			}
		})
	}
}
