package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The keys of an attached up do what they say, and the terminal is as before at the
// end, also if the daemon was killed meanwhile.
func TestKeysOfAnAttachedUp(t *testing.T) {
	h := newHost(t)
	h.busybox()
	port := freePort(t)
	opened := filepath.Join(tempDir(t), "opened")
	browser := filepath.Join(tempDir(t), "browser")
	// Beside, then in place: who sees it sees it whole.
	if err := os.WriteFile(browser, []byte(fmt.Sprintf("#!/bin/sh\necho $1 >%[1]s.new\nmv %[1]s.new %[1]s\n", opened)), 0o755); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "BROWSER="+browser)
	dir := h.project("keys", map[string]string{"src/f": "1", "compose.yaml": fmt.Sprintf(`
services:
  web:
    image: busybox
    init: true
    command: nc -ll -p 80 -e echo hello
    ports: ["127.0.0.1:%d:80"]
    develop:
      watch:
        - {path: ./src, target: /app, action: sync}
`, port)})
	tty := h.typing(dir, "up")
	tty.sees("keys: d detach")
	tty.types("o")
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	tty.sees("opened " + url)
	h.eventually(func() error {
		data, err := os.ReadFile(opened)
		if err != nil {
			return err
		}
		return want(string(data), url)
	})
	tty.types("w")
	tty.sees("Watch enabled")
	edit(t, filepath.Join(dir, "src/f"), "2")
	tty.sees(`Syncing service "web"`)
	tty.types("w")
	tty.sees("watch is off")
	tty.types("r")
	tty.sees("web-1 restarted, its last run ended with code")
	tty.types("h")
	h.eventually(func() error {
		if strings.Count(tty.text(), "keys: d detach") < 2 {
			return fmt.Errorf("no help:\n%s", tty.text())
		}
		return nil
	})
	h.killDaemon()
	tty.types("d")
	tty.sees("detached: the containers run on")
	tty.ends(0)
	if row := h.ps(dir)["keys-web-1"]; row.State != "running" {
		t.Errorf("after d: %+v", row)
	}
	// Ctrl-C beside a daemon that has just been killed.
	tty = h.typing(dir, "up")
	tty.sees("keys: d detach")
	h.killDaemon()
	tty.types("\x03")
	tty.ends(130)
	if row := h.ps(dir, "-a")["keys-web-1"]; row.State != "exited" {
		t.Errorf("after Ctrl-C: %+v", row)
	}
}
