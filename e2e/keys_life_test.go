package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const lifeKeys = `
services:
  probed:
    <<: *base
    command: ["sh", "-c", "sleep 0.3; touch /ready; exec sleep 1000"]
    healthcheck: {test: "test -e /ready", interval: 1s, timeout: 20s, retries: 2, start_period: 5s, start_interval: 1s}
  sick:
    <<: *base
    healthcheck: {test: [CMD, "false"], interval: 100ms, timeout: 1s, retries: 2}
  slow:
    <<: *base
    healthcheck: {test: [CMD, sleep, "100"], interval: 100ms, timeout: 100ms, retries: 1}
  image-probe:
    <<: *base
    image: keys/probed
    pull_policy: build
    build: {context: ., dockerfile_inline: "FROM busybox\nHEALTHCHECK --interval=1s CMD true\n"}
  no-probe:
    <<: *base
    image: keys/probed
    pull_policy: never
    depends_on: [image-probe]
    healthcheck: {disable: true}
  none-probe:
    <<: *base
    image: keys/probed
    pull_policy: never
    depends_on: [image-probe]
    healthcheck: {test: [NONE]}
  migrate:
    <<: *base
    command: ["sh", "-c", "sleep 0.3; cat /proc/sys/kernel/random/uuid > /data/migrated"]
    volumes: ["data:/data"]
  app:
    <<: *base
    command: ["sh", "-c", "cat /data/migrated && exec sleep 1000"]
    volumes: ["data:/data"]
    depends_on:
      migrate: {condition: service_completed_successfully}
      probed: {condition: service_healthy, restart: true}
      plain: {condition: service_started}
      absent: {condition: service_started, required: false}
  plain:
    <<: *base
    labels: [com.example.role=plain]
  absent:
    <<: *base
    profiles: [extra]
  never:
    <<: *base
    restart: "no"
    command: ["sh", "-c", "echo run; exit 3"]
  twice:
    <<: *base
    restart: on-failure:2
    command: ["sh", "-c", "echo run; exit 3"]
  good:
    <<: *base
    restart: on-failure
    command: ["sh", "-c", "echo run; exit 0"]
  always:
    <<: *base
    restart: always
    command: ["sh", "-c", "echo run; exit 0"]
  unless:
    <<: *base
    restart: unless-stopped
    command: ["sh", "-c", "echo run; exit 0"]
  policy:
    <<: *base
    deploy: {restart_policy: {condition: on-failure, delay: 10ms, max_attempts: 3, window: 1h}}
    command: ["sh", "-c", "echo run; exit 3"]
  policy-any:
    <<: *base
    deploy: {restart_policy: {condition: any, delay: 10ms, max_attempts: 2}}
    command: ["sh", "-c", "echo run"]
  policy-none:
    <<: *base
    restart: always
    deploy: {restart_policy: {condition: none}}
    command: ["sh", "-c", "echo run; exit 3"]
  quiet:
    <<: *base
    logging: {driver: none}
    command: ["sh", "-c", "echo unheard; exec sleep 1000"]
  loud:
    <<: *base
    logging: {driver: json-file, options: {max-size: 100k, max-file: "2"}}
    command: ["sh", "-c", "seq 100000; echo last; exec sleep 1000"]
  child:
    extends: {service: parent, file: parent.yaml}
    <<: *base
    environment: [B=child]
  graceful:
    <<: *base
    init: false
    stop_signal: SIGUSR1
    stop_grace_period: 30s
    command: ["sh", "-c", "trap 'echo usr1; exit 7' USR1; while true; do sleep 0.05; done"]
  stubborn:
    <<: *base
    init: false
    stop_grace_period: 2s
    command: ["sh", "-c", "trap 'echo asked' TERM; while true; do sleep 0.05; done"]
volumes: {data: }
`

// Conditions, probes, policies, logs, profiles and ends.
func TestKeysOfLifeHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.keys("life", lifeKeys, map[string]string{
		"parent.yaml": "services: {parent: {image: busybox, environment: {A: parent, B: parent}}}\n",
	})
	health := func(name, want string) {
		t.Helper()
		h.eventually(func() error {
			if got := h.ps(dir)["life-"+name+"-1"].Health; got != want {
				return fmt.Errorf("%s is %q, want %q", name, got, want)
			}
			return nil
		})
	}
	health("probed", "healthy")
	health("sick", "unhealthy")
	health("slow", "unhealthy")
	health("image-probe", "healthy")
	health("no-probe", "")
	health("none-probe", "")
	rows := h.ps(dir)
	if rows["life-app-1"].State != "running" || rows["life-migrate-1"].State != "exited" {
		t.Errorf("depends_on: app is %+v, migrate %+v", rows["life-app-1"], rows["life-migrate-1"])
	}
	if err := want(h.must(dir, "ps", "--format", "json", "plain"), "com.example.role=plain"); err != nil {
		t.Errorf("labels: %v", err)
	}
	if _, ok := rows["life-absent-1"]; ok {
		t.Error("profiles: a service of an inactive profile runs")
	}
	h.looks(dir, []look{{"extends", "child", "echo $A $B", "parent child"}})
	runs := func(service string) int { return strings.Count(h.lines(dir, service), "run") }
	ends := func(service string, count int) {
		t.Helper()
		h.eventually(func() error {
			row := h.ps(dir)["life-"+service+"-1"]
			if n := runs(service); n != count || row.State != "exited" {
				return fmt.Errorf("%s: %d runs, want %d; %+v", service, n, count, row)
			}
			return nil
		})
	}
	ends("never", 1)
	ends("twice", 3)
	ends("good", 1)
	ends("policy", 4)
	ends("policy-any", 3)
	ends("policy-none", 1)
	for _, service := range []string{"always", "unless"} {
		h.eventually(func() error {
			if n := runs(service); n < 3 {
				return fmt.Errorf("%s: %d runs", service, n)
			}
			return nil
		})
		h.must(dir, "stop", service)
		if state := h.ps(dir)["life-"+service+"-1"].State; state != "exited" {
			t.Errorf("%s is %s after stop", service, state)
		}
	}
	if r := h.run(dir, "logs", "quiet"); strings.Contains(r.stdout, "unheard") {
		t.Errorf("logging.driver none keeps logs: %s", r.stdout)
	}
	h.eventually(func() error { return want(h.lines(dir, "loud"), "last") })
	if n := len(strings.Fields(h.lines(dir, "loud"))); n > 60000 || n < 500 {
		t.Errorf("two log files of 100k hold %d lines", n)
	}
	h.ending(dir)
	h.must(dir, "--profile", "extra", "up", "-d", "absent")
	if h.ps(dir)["life-absent-1"].State != "running" {
		t.Error("profiles: --profile does not enable the service")
	}
	var started string
	h.eventually(func() error {
		if started = h.lines(dir, "app"); started == "" {
			return errors.New("app has written nothing")
		}
		return nil
	})
	h.must(dir, "restart", "probed")
	h.eventually(func() error { // it is started, and writes then
		if again := h.lines(dir, "app"); again == started {
			return fmt.Errorf("depends_on.restart: the dependant was not restarted: %s", again)
		}
		return nil
	})
}

// ending stops what has a stop signal and a period of grace of its own.
func (h *host) ending(dir string) {
	h.t.Helper()
	h.must(dir, "stop", "graceful")
	if got, row := h.lines(dir, "graceful"), h.ps(dir)["life-graceful-1"]; got != "usr1" || row.ExitCode != 7 {
		h.t.Errorf("stop_signal: %q, %+v", got, row)
	}
	begin := time.Now()
	h.must(dir, "stop", "stubborn")
	if got, row := h.lines(dir, "stubborn"), h.ps(dir)["life-stubborn-1"]; got != "asked" || row.ExitCode != 137 {
		h.t.Errorf("stop_grace_period: %q, %+v after %v", got, row, time.Since(begin))
	}
}
