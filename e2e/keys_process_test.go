package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const processKeys = `
services:
  plain:
    <<: *base
  named:
    <<: *base
    container_name: my-own
    hostname: web.local
    labels: {com.example.a: "1"}
    working_dir: /var/www
    environment:
      SET: "a b"
      EMPTY: ""
      FROM_HOST:
      NOT_ON_HOST:
      OVER: own
    env_file: [one.env, {path: two.env}, {path: none.env, required: false}]
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 300, core: 0}
  nobody:
    <<: *base
    user: nobody
  numeric:
    <<: *base
    user: "1234:5678"
    group_add: [users, "4321"]
  unknown:
    <<: *base
    user: "7777"
  noinit:
    <<: *base
    init: false
  typed:
    <<: *base
    tty: true
    stdin_open: true
    command: ["sh", "-c", "read line; echo got $$line; exec sleep 1000"]
  piped:
    <<: *base
    stdin_open: true
    command: cat
  closed:
    <<: *base
    command: ["sh", "-c", "cat; echo end"]
  shellwords:
    <<: *base
    init: false
    command: sh -c 'echo "$$0" "one  arg"' zero
  inherits:
    <<: *base
    image: keys/shaped
    command: null
    pull_policy: build
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        ENV A=1 B=2 FROM_HOST=image NOT_ON_HOST=image
        USER nobody
        WORKDIR /tmp/work
        STOPSIGNAL SIGUSR1
        ENTRYPOINT ["/bin/sh", "-c", "echo entry $$0 $$@; env | sort; id -u; pwd; exec sleep 1000"]
        CMD ["image", "cmd"]
  own-command:
    <<: *base
    image: keys/shaped
    pull_policy: never
    command: [own]
    depends_on: [inherits]
    environment: [B=3, FROM_HOST, NOT_ON_HOST]
    user: root
    working_dir: /
  own-entrypoint:
    <<: *base
    image: keys/shaped
    pull_policy: never
    command: null
    depends_on: [inherits]
    entrypoint: echo only
  cleared:
    <<: *base
    image: keys/shaped
    pull_policy: never
    depends_on: [inherits]
    entrypoint: []
    command: [echo, cleared]
  cleared-command:
    <<: *base
    image: keys/shaped
    pull_policy: never
    depends_on: [inherits]
    command: []
`

// What a service's process is given, seen from inside.
func TestKeysOfTheProcessHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	h.env = append(h.env, "FROM_HOST=host")
	dir := h.keys("proc", processKeys, map[string]string{
		"one.env": "OVER=one\nONE=1\nTWICE=one\n", "two.env": "TWICE=two # comment\nQUOTED=\"x y\"\n",
	})
	h.looks(dir, []look{
		{"hostname (none given)", "plain", "test $(hostname) = $HOSTNAME && hostname | wc -c", "13"},
		{"init", "plain", "tr '\\0' ' ' </proc/$p/cmdline; tr '\\0' ' ' </proc/1/cmdline", "sleep 1000 mycompose-init sleep 1000"},
		{"init: false", "noinit", "tr '\\0' ' ' </proc/1/cmdline", "sleep 1000"},
		{"tty: false", "plain", "readlink /proc/$p/fd/0", "/dev/null"},
		{"hostname", "named", "hostname; cat /etc/hostname; grep -c web.local /etc/hosts", "web.local web.local 1"},
		{"working_dir", "named", "readlink /proc/$p/cwd; pwd", "/var/www /var/www"},
		{"environment", "named", "tr '\\0' '\\n' </proc/$p/environ | grep -E 'SET|EMPTY|HOST=|OVER|ONE|TWICE|QUOTED' | sort",
			"EMPTY= FROM_HOST=host ONE=1 OVER=own QUOTED=x y SET=a b TWICE=two"},
		{"ulimits", "named", "grep -E 'open files|processes|core' /proc/$p/limits | awk '{print $(NF-2), $(NF-1)}' ; ulimit -n",
			"0 0 300 300 100 200 100"},
		{"user: nobody", "nobody", "grep -E '^(Uid|Gid|Groups)' /proc/$p/status; id -u; echo $HOME; id -G",
			"Uid: 65534 65534 65534 65534 Gid: 65534 65534 65534 65534 Groups: 100 65534 65534 / 65534 100"},
		{"user: uid:gid, group_add", "numeric", "grep -E '^(Uid|Gid|Groups)' /proc/$p/status; id -G | tr ' ' '\\n' | sort",
			"Uid: 1234 1234 1234 1234 Gid: 5678 5678 5678 5678 Groups: 100 4321 5678 100 4321 5678"},
		{"user: a number passwd does not know", "unknown", "grep -E '^(Uid|Gid)' /proc/$p/status", "Uid: 7777 7777 7777 7777 Gid: 0 0 0 0"},
		{"tty", "typed", "readlink /proc/$p/fd/0; ls -l /dev/console | cut -c1; echo $TERM", "/dev/pts/0 c xterm"},
	})
	for service, want := range map[string]string{
		"closed":         "end",
		"shellwords":     "zero one arg",
		"own-entrypoint": "only",
		"cleared":        "cleared",
		"own-command": "entry own A=1 B=3 FROM_HOST=host HOME=/root HOSTNAME=* PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " +
			"PWD=/ SHLVL=1 0 /",
		"inherits": "entry image cmd A=1 B=2 FROM_HOST=image HOME=/ HOSTNAME=* NOT_ON_HOST=image PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin " +
			"PWD=/tmp/work SHLVL=1 65534 /tmp/work",
	} {
		h.eventually(func() error {
			got := h.lines(dir, service)
			if !matches(got, want) {
				return fmt.Errorf("%s has written %q, want %q", service, got, want)
			}
			return nil
		})
	}
	if _, ok := h.ps(dir)["my-own"]; !ok {
		t.Error("container_name: no container my-own")
	}
	if rows := h.ps(dir); rows["proc-piped-1"].State != "running" || rows["proc-closed-1"].State != "exited" {
		t.Errorf("stdin_open: cat is %+v with it and %+v without", rows["proc-piped-1"], rows["proc-closed-1"])
	}
	cmd := h.command(context.Background(), dir, "run", "--rm", "-T", "piped")
	cmd.Stdin = strings.NewReader("through\n")
	if out, err := cmd.Output(); err != nil || string(out) != "through\n" {
		t.Errorf("run with stdin: %q, %v", out, err)
	}
}

// matches compares word by word; a word may end in * for anything.
func matches(got, want string) bool {
	g, w := strings.Fields(got), strings.Fields(want)
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		if open, ok := strings.CutSuffix(w[i], "*"); g[i] != w[i] && (!ok || !strings.HasPrefix(g[i], open)) {
			return false
		}
	}
	return true
}
