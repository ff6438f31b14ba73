package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const untuned = `
services:
  web:
    image: busybox
    command: ["sh", "-c", "echo $$GREETING > /www/index.html; cat /run/secrets/token >> /www/index.html; httpd -f -p 80 -h /www"]
    environment:
      GREETING: hello
    tmpfs: /www
    stop_grace_period: 1s
    secrets: [token]
    ports: ["127.0.0.1:%d:80"]
    networks: [front, back]
    depends_on:
      migrate: {condition: service_completed_successfully}
      redis: {condition: service_healthy}
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"]
      interval: 2s
    deploy:
      resources:
        limits: {cpus: "0.5", memory: 64M}
  worker:
    image: busybox
    command: ["sh", "-c", "i=0; while true; do i=$$((i+1)); echo number $$i; sleep 0.02; done"]
    init: true
    stop_grace_period: 2s
    scale: 3
    networks: [back]
    depends_on: [redis]
  redis:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while true; do nc -l -p 6379 -e echo PONG || true; done"]
    stop_grace_period: 1s
    volumes: ["data:/data"]
    networks: [back]
    healthcheck:
      test: ["CMD-SHELL", "nc 127.0.0.1 6379 </dev/null | grep -q PONG"]
      interval: 1s
  migrate:
    image: busybox
    command: ["sh", "-c", "echo migrated > /data/done; echo migrated"]
    volumes: ["data:/data"]
    networks: [back]
networks:
  front:
  back:
    internal: true
volumes:
  data:
secrets:
  token:
    file: ./token.txt
`

func untunedProject(h *host, name string, port int) string {
	return h.project(name, map[string]string{
		"compose.yaml": fmt.Sprintf(untuned, port),
		"token.txt":    "s3cret\n",
	})
}

// get asks a page until it answers.
func (h *host) get(url string) string {
	h.t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	var body string
	h.eventually(func() error {
		answer, err := client.Get(url)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		body = string(raw)
		return err
	})
	return body
}

// A compose file that nobody tuned for runs, every name resolves where it
// should and nowhere else, and down -v leaves nothing (checked by newHost).
func TestAnUntunedProjectRunsAndLeavesNothing(t *testing.T) {
	h := newHost(t)
	h.busybox()
	port := freePort(t)
	dir := untunedProject(h, "shop", port)
	up := h.run(dir, "up", "-d")
	if up.code != 0 {
		t.Fatalf("up: %d\n%s", up.code, up.stderr)
	}
	for _, line := range []string{
		" Network shop_back Created ", " Volume shop_data Created ", " Container shop-migrate-1 Exited ",
		" Container shop-redis-1 Healthy ", " Container shop-web-1 Started ", " Container shop-worker-3 Started ",
	} {
		if err := want(up.stderr, line+"\n"); err != nil {
			t.Error(err)
		}
	}
	if got := h.get(fmt.Sprintf("http://127.0.0.1:%d/", port)); got != "hello\ns3cret\n" {
		t.Errorf("page is %q", got)
	}
	resolves := func(service, name string, yes bool) {
		t.Helper()
		r := h.run(dir, "exec", "-T", service, "nslookup", name+".")
		if (r.code == 0) != yes {
			t.Errorf("%s resolves %s: code %d, want success %v\n%s%s", service, name, r.code, yes, r.stdout, r.stderr)
		}
	}
	resolves("worker", "redis", true)
	resolves("worker", "shop-redis-1", true)
	resolves("worker", "web", true)
	resolves("web", "worker", true)
	resolves("worker", "nosuch", false)
	if r := h.run(dir, "exec", "-T", "web", "nslookup", "worker"); strings.Count(r.stdout, "Address") < 3 {
		t.Errorf("worker has not three addresses: %s", r.stdout)
	}
	again := h.run(dir, "up", "-d")
	if again.code != 0 || strings.Contains(again.stderr, "Recreate") {
		t.Errorf("a second up changes something: %d\n%s", again.code, again.stderr)
	}
	rows := h.ps(dir)
	if rows["shop-web-1"].State != "running" || rows["shop-migrate-1"].State != "exited" || len(rows) != 6 {
		t.Errorf("ps: %v", rows)
	}
	down := h.run(dir, "down", "-v")
	if down.code != 0 {
		t.Errorf("down: %s", down.stderr)
	}
	for _, line := range []string{" Container shop-web-1 Removed ", " Network shop_front Removed ", " Volume shop_data Removed "} {
		if err := want(down.stderr, line+"\n"); err != nil {
			t.Error(err)
		}
	}
}

// Changing one field recreates only that service and names the field.
func TestChangingOneFieldRecreatesOnlyThatService(t *testing.T) {
	h := newHost(t)
	h.busybox()
	const file = "services:\n  a:\n    image: busybox\n    init: true\n    command: sleep 1000\n    environment: {DEBUG: \"%s\"}\n" +
		"  b:\n    image: busybox\n    init: true\n    command: sleep 1000\n    depends_on: [a]\n"
	dir := h.project("field", map[string]string{"compose.yaml": fmt.Sprintf(file, "0")})
	h.must(dir, "up", "-d")
	before := h.ps(dir)
	if err := os.WriteFile(dir+"/compose.yaml", []byte(fmt.Sprintf(file, "1")), 0o644); err != nil {
		t.Fatal(err)
	}
	plan := h.run(dir, "up", "-d", "--dry-run")
	if err := want(plan.stdout+plan.stderr, `environment.DEBUG "0" → "1"`); err != nil || plan.code != 0 {
		t.Errorf("dry run: %d, %v", plan.code, err)
	}
	if now := h.ps(dir); now["field-a-1"].ID != before["field-a-1"].ID {
		t.Error("the dry run recreated a container")
	}
	up := h.run(dir, "up", "-d")
	if err := want(up.stderr, " Container field-a-1 Recreated "); err != nil {
		t.Error(err)
	}
	if err := want(up.stderr, " Container field-b-1 Running "); err != nil {
		t.Error(err)
	}
	now := h.ps(dir)
	if now["field-a-1"].ID == before["field-a-1"].ID || now["field-b-1"].ID != before["field-b-1"].ID {
		t.Errorf("wrong containers were recreated: %v, then %v", before, now)
	}
}
