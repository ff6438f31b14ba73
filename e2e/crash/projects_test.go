package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The loops say a running number; init makes them heed SIGTERM.
const (
	nearYAML = `
services:
  page:
    image: busybox
    init: true
    command: ["httpd", "-f", "-p", "80", "-h", "/bin"]
    ports: ["127.0.0.1:%d:80"]
    restart: always
  count:
    image: busybox
    init: true
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo $$i; usleep 100000; done"]
    restart: always
`
	shopYAML = `
services:
  page:
    image: busybox
    init: true
    command: ["httpd", "-f", "-p", "80", "-h", "/www"]
    ports: ["127.0.0.1:%d:80"]
    volumes: ["data:/data", "./www:/www:ro"]
    restart: always
    stop_grace_period: 2s
  work:
    image: busybox
    init: true
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo $$i; usleep 20000; done"]
    environment: {STAMP: "%s"}
    scale: 2
    restart: always
    stop_grace_period: 2s
  once:
    image: busybox
    command: ["sh", "-c", "echo once; exit 3"]
  flaky:
    image: busybox
    command: ["sh", "-c", "echo run; exit 5"]
    restart: on-failure:2
volumes:
  data: {}
`
	stormYAML = `
services:
  storm:
    image: busybox
    init: true
    command: ["sh", "-c", "while [ ! -e /go/go ]; do usleep 10000; done; seq 1 %d"]
    volumes: ["./go:/go:ro"]
    restart: on-failure:3
`
	pulseYAML = `
services:
  pulse:
    image: busybox
    init: true
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo $$i; touch /tmp/ok; usleep 400000; rm /tmp/ok; usleep 400000; done"]
    restart: always
    healthcheck: {test: ["CMD", "test", "-e", "/tmp/ok"], interval: 50ms, timeout: 5s, retries: 1}
`
	ringYAML = `
services:
  ring:
    image: busybox
    init: true
    command: ["sleep", "100000"]
    restart: always
    stop_grace_period: 2s
    volumes: ["./told:/told"]
    post_start:
      - {command: ["sh", "-c", "usleep 50000; echo first >> /told/all"]}
      - {command: ["sh", "-c", "usleep 50000; echo second >> /told/all"]}
    pre_stop:
      - {command: ["sh", "-c", "usleep 50000; echo down >> /told/all"]}
  after:
    image: busybox
    init: true
    command: ["sh", "-c", "cat /told/all > /told/seen; exec sleep 100000"]
    volumes: ["./told:/told"]
    depends_on: [ring]
`
	lendYAML = `
services:
  owner:
    image: busybox
    init: true
    command: ["sleep", "100000"]
    environment: {STAMP: "%s"}
    volumes: [/lent]
    stop_grace_period: 2s
  borrower:
    image: busybox
    init: true
    command: ["sleep", "100000"]
    volumes_from: [owner]
    stop_grace_period: 2s
`
	madeYAML = `
services:
  made:
    build: .
    image: made
    pull_policy: never
    command: ["cat", "/built"]
`
	madeDockerfile = "FROM busybox\nRUN echo %s > /built && usleep 200000\nRUN wget -qO /dev/null http://127.0.0.1:1/ || echo none >> /built\n"
)

// stormLines is how much storm writes: 2.7 MB, so that a busy machine, which reads
// and writes it in larger pieces (64 KiB at most), passes each point too.
const stormLines = 400000

func (w *world) writeProjects() error {
	for path, content := range map[string]string{
		"near/compose.yaml":  fmt.Sprintf(nearYAML, w.nearPort),
		"shop/compose.yaml":  fmt.Sprintf(shopYAML, w.port, "1"),
		"shop/www/hello":     "hello\n",
		"storm/compose.yaml": fmt.Sprintf(stormYAML, stormLines),
		"storm/go/README":    "storm waits for a file called go\n",
		"pulse/compose.yaml": pulseYAML,
		"ring/compose.yaml":  ringYAML,
		"ring/told/README":   "hooks write here\n",
		"lend/compose.yaml":  fmt.Sprintf(lendYAML, "1"),
		"made/compose.yaml":  madeYAML,
		"made/Dockerfile":    fmt.Sprintf(madeDockerfile, "nothing"),
	} {
		if err := w.write(path, content); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) write(path, content string) error {
	full := filepath.Join(w.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	return os.WriteFile(full, []byte(content), 0o644)
}

// stampShop changes the environment of work, so that it is recreated.
func (w *world) stampShop(stamp string) error {
	return w.write("shop/compose.yaml", fmt.Sprintf(shopYAML, w.port, strings.TrimSpace(stamp)))
}
