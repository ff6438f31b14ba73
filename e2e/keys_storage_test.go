package e2e

import (
	"os"
	"strings"
	"testing"
)

const storageKeys = `
services:
  long:
    <<: *base
    image: keys/files
    pull_policy: build
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN mkdir -p /seeded/deep /anon && echo seed > /seeded/deep/f && chown -R 7:8 /seeded && chmod 750 /seeded
        VOLUME /anon
    volumes:
      - {type: volume, source: data, target: /seeded}
      - {type: volume, source: data, target: /again, read_only: true}
      - {type: volume, source: bare, target: /seeded2, volume: {nocopy: true}}
      - {type: bind, source: ./host, target: /host}
      - {type: bind, source: ./host/file, target: /one-file, read_only: true}
      - {type: bind, source: ./made, target: /made, bind: {propagation: rslave, create_host_path: true}}
      - {type: tmpfs, target: /mem, tmpfs: {size: 2m, mode: 0o750}}
      - {type: volume, target: /nameless}
    configs:
      - inline
      - {source: inline, target: /etc/app/conf, uid: "7", gid: "8", mode: 0o440}
      - {source: fromfile, target: /plainfile}
    secrets:
      - token
      - {source: token, target: renamed, uid: "9", gid: "10", mode: 0o400}
      - {source: fromenv, target: /abs/secret}
  short:
    <<: *base
    image: keys/files
    pull_policy: never
    read_only: true
    depends_on: [long]
    configs: [inline]
    volumes:
      - copied:/seeded
      - uncopied:/seeded/deep:nocopy
      - data:/ro:ro
      - ./host:/host:ro,z
      - ./fresh:/fresh
      - /nameless
      - theirs:/theirs
      - named:/named
      - {type: volume, source: data, target: /part, volume: {subpath: deep}}
volumes:
  data:
  bare:
  copied: {labels: {a: b}}
  uncopied: {driver: local}
  theirs: {external: true, name: shop_theirs}
  named: {name: any-name}
configs:
  inline: {content: "hello $${X} ${Y:-default}\n"}
  fromfile: {file: ./conf.txt}
secrets:
  token: {file: ./token.txt}
  fromenv: {environment: THE_SECRET}
`

// Volumes, binds, tmpfs, configs and secrets, seen from inside.
func TestKeysOfStorageHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	h.env = append(h.env, "THE_SECRET=from env")
	other := h.keys("shop", "services: {a: {<<: *base, volumes: [\"theirs:/t\"]}}\nvolumes: {theirs: }\n", nil)
	h.must(other, "exec", "-T", "a", "sh", "-c", "echo theirs > /t/f")
	files := map[string]string{"token.txt": "s3cret", "conf.txt": "conf\n", "host/file": "on host\n"}
	dir := h.keys("store", storageKeys, files)
	h.looks(dir, []look{
		{"volume filled from the image, owners kept", "long", "cat /seeded/deep/f; stat -c '%u %g %a' /seeded; stat -c '%u %g' /seeded/deep/f", "seed 7 8 750 7 8"},
		{"read_only and shared", "long", "cat /again/deep/f; touch /again/x 2>/dev/null || echo ro", "seed ro"},
		{"bind", "long", "cat /host/file; cat /one-file; echo in > /one-file || true; echo written > /host/new", "on host on host"},
		{"bind.create_host_path", "long", "touch /made/f && ls /made", "f"},
		{"tmpfs size and mode", "long", "df -k /mem | tail -1 | awk '{print $2}'; stat -c %a /mem", "2048 750"},
		{"anonymous", "long", "echo keep > /anon/f; echo keep > /nameless/f; grep -cE ' /(anon|nameless) ' /proc/self/mountinfo", "2"},
		{"config content", "long", "cat /inline; stat -c '%u %g %a' /inline", "hello ${X} default 0 0 444"},
		{"config owner and mode", "long", "cat /etc/app/conf; stat -c '%u %g %a' /etc/app/conf", "hello ${X} default 7 8 440"},
		{"config from file", "long", "cat /plainfile", "conf"},
		{"secret from file", "long", "cat /run/secrets/token; stat -c ' %u %g %a' /run/secrets/token", "s3cret 0 0 444"},
		{"secret owner, mode, target", "long", "cat /run/secrets/renamed; stat -c ' %u %g %a' /run/secrets/renamed", "s3cret 9 10 400"},
		{"secret from environment", "long", "cat /abs/secret; echo; touch /abs/secret 2>/dev/null || echo ro", "from env ro"},
		{"short volume", "short", "cat /seeded/deep/f 2>/dev/null || ls -A /seeded/deep | wc -l; stat -c '%u %g' /seeded", "0 7 8"},
		{"volume.subpath", "short", "cat /part/f", "seed"},
		{"short ro", "short", "cat /ro/deep/f; touch /ro/x 2>/dev/null || echo ro; cat /host/file; touch /host/x 2>/dev/null || echo ro", "seed ro on host ro"},
		{"short bind makes its folder", "short", "touch /fresh/f; ls /fresh", "f"},
		{"config on a read-only service", "short", "cat /inline", "hello ${X} default"},
		{"external", "short", "cat /theirs/f", "theirs"},
		{"writable on a read-only service", "short", "touch /named/x && touch /nameless/x && ls /named", "x"},
	})
	if raw, err := os.ReadFile(dir + "/host/new"); err != nil || string(raw) != "written\n" {
		t.Errorf("bind: the host has %q, %v", raw, err)
	}
	if raw, err := os.ReadFile(dir + "/host/file"); err != nil || string(raw) != "on host\n" {
		t.Errorf("a read-only bind of a file was written: %q, %v", raw, err)
	}
	volumes := words(h.must("", "volume", "ls", "-q"))
	for _, name := range []string{"store_data", "store_bare", "any-name", "shop_theirs"} {
		if err := want(" "+volumes+" ", " "+name+" "); err != nil {
			t.Error(err)
		}
	}
	if err := want(h.must("", "volume", "inspect", "store_copied"), `"a": "b"`); err != nil {
		t.Error(err)
	}
	before := h.ps(dir)["store-long-1"].ID
	h.must(dir, "up", "-d", "--force-recreate")
	if h.ps(dir)["store-long-1"].ID == before {
		t.Error("--force-recreate kept the container")
	}
	h.looks(dir, []look{
		{"anonymous volumes are kept over recreate", "long", "cat /anon/f /nameless/f; cat /seeded/deep/f", "keep keep seed"},
	})
	// The content of a config is part of a container's identity.
	if err := os.WriteFile(dir+"/conf.txt", []byte("changed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.must(dir, "up", "-d")
	h.looks(dir, []look{{"a changed config", "long", "cat /plainfile", "changed"}})
	h.must(dir, "down", "-v")
	if left := words(h.must("", "volume", "ls", "-q")); left != "shop_theirs" {
		t.Errorf("down -v leaves the volumes %q", left)
	}
}

// No secret stands in what the commands print.
func TestASecretIsNotPrinted(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.keys("hush", "services: {a: {<<: *base, secrets: [s]}}\nsecrets: {s: {file: ./s}}\n", map[string]string{"s": "v3ry-s3cret"})
	for _, args := range [][]string{{"config"}, {"ps", "-a", "--format", "json"}, {"up", "-d", "--dry-run"}} {
		if r := h.run(dir, args...); strings.Contains(r.stdout+r.stderr, "v3ry-s3cret") || r.code != 0 {
			t.Errorf("%v: %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}
