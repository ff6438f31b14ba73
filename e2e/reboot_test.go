package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rebooting is a project with every restart policy. db is ready half a second
// after its start; web waits for that, and for what has been done once.
const rebooting = `
services:
  db:
    image: busybox
    init: true
    restart: always
    command: ["sh", "-c", "sleep 0.5; echo ready $$(cat /proc/uptime); touch /run/ready; sleep 10000"]
    tmpfs: /run
    healthcheck: {test: ["CMD", "test", "-e", "/run/ready"], interval: 200ms, retries: 100}
  migrate:
    image: busybox
    restart: on-failure
    command: ["sh", "-c", "echo migrated once"]
  web:
    image: busybox
    init: true
    restart: unless-stopped
    command: ["sh", "-c", "echo started $$(cat /proc/uptime); echo line >>/data/starts; sleep 10000"]
    volumes: ["data:/data"]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
  stopped: {image: busybox, init: true, restart: unless-stopped, command: sleep 10000}
  stubborn: {image: busybox, init: true, restart: always, command: sleep 10000}
  retry: {image: busybox, init: true, restart: on-failure, command: sleep 10000}
  plain: {image: busybox, init: true, command: sleep 10000}
volumes:
  data:
`

// After a boot the keeper's start alone brings back what was meant to run, as
// dockerd does (what a user stopped only if its policy is always), in the order
// of depends_on and with its conditions.
func TestABootBringsBackWhatWasMeantToRun(t *testing.T) {
	for _, c := range []struct {
		name  string
		stale bool
	}{{"with an empty /run", false}, {"with the run folder of another boot", true}} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.busybox()
			dir := h.project("reboot", map[string]string{"compose.yaml": rebooting})
			h.must(dir, "up", "-d")
			h.must(dir, "stop", "-t", "1", "stopped", "stubborn")
			h.moments(dir, 1)
			h.wantOutput(dir, "line\n", "exec", "-T", "web", "cat", "/data/starts")
			h.powerOff(c.stale)
			h.boot()
			h.wantStates(dir, map[string]string{
				"db": "running", "web": "running", "retry": "running", "stubborn": "running",
				"stopped": "exited", "plain": "exited", "migrate": "exited",
			})
			if code := h.ps(dir)["reboot-plain-1"].ExitCode; code != 137 {
				t.Errorf("plain ended with the machine, with code %d", code)
			}
			if ready, started := h.moments(dir, 2); started[1] < ready[1] {
				t.Errorf("db was ready at %v, web started at %v", ready, started)
			}
			if logs := h.must(dir, "logs", "migrate"); strings.Count(logs, "migrated once") != 1 {
				t.Errorf("migrate: %q", logs)
			}
			h.wantOutput(dir, "line\nline\n", "exec", "-T", "web", "cat", "/data/starts")
			// The same boot once more: only the daemon is new.
			before := h.ps(dir)
			old := h.daemonPID()
			h.killDaemon()
			h.eventually(func() error {
				if pid := h.daemonPID(); pid == 0 || pid == old {
					return fmt.Errorf("no new daemon yet")
				}
				return nil
			})
			h.must(dir, "stop", "-t", "1", "stubborn")
			for name, was := range before {
				if now := h.ps(dir)[name]; now.ID != was.ID || name != "reboot-stubborn-1" && now.State != was.State {
					t.Errorf("%s was %v and is %v", name, was, now)
				}
			}
		})
	}
}

// wantOutput waits until a command prints that.
func (h *host) wantOutput(dir, text string, args ...string) {
	h.t.Helper()
	h.eventually(func() error {
		if got := h.must(dir, args...); got != text {
			return fmt.Errorf("%q is not %q", got, text)
		}
		return nil
	})
}

// moments are when db became ready and web started, at so many boots.
func (h *host) moments(dir string, boots int) (ready, started []float64) {
	h.t.Helper()
	h.eventually(func() error { // a container runs before it has written
		ready = uptimes(h, h.must(dir, "logs", "db"), "ready")
		started = uptimes(h, h.must(dir, "logs", "web"), "started")
		if len(ready) != boots || len(started) != boots {
			return fmt.Errorf("db was ready at %v, web started at %v", ready, started)
		}
		return nil
	})
	return ready, started
}

// wantStates waits for the states of a project's services, by their first
// replica.
func (h *host) wantStates(dir string, want map[string]string) {
	h.t.Helper()
	project := filepath.Base(dir)
	h.eventually(func() error {
		rows := h.ps(dir)
		for service, state := range want {
			name := service
			if !strings.HasSuffix(service, "-2") {
				name += "-1"
			}
			if got := rows[project+"-"+name].State; got != state {
				return fmt.Errorf("%s is %q, not %q", name, got, state)
			}
		}
		return nil
	})
}

// What a power failure tore is set aside, named to the user, and made anew from
// the project's model without a hand; what was stopped stays so, and what a
// newer mycompose wrote is named and not touched.
func TestWhatIsTornOnDiskIsNamedAndMadeAnew(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("torn", map[string]string{"Dockerfile": "FROM busybox\nCOPY text /text\n", "text": "built\n", "compose.yaml": `
services:
  db: {image: busybox, init: true, restart: always, command: sleep 10000}
  web:
    image: busybox
    init: true
    restart: unless-stopped
    scale: 2
    command: ["sh", "-c", "echo line >>/data/starts; sleep 10000"]
    volumes: ["data:/data"]
    depends_on: [db]
  stopped: {image: busybox, init: true, restart: unless-stopped, command: sleep 10000}
  built: {build: ., init: true, restart: always, command: sleep 10000}
volumes:
  data:
`})
	other := h.project("other", map[string]string{"compose.yaml": "services:\n  one: {image: busybox, init: true, restart: always, command: sleep 10000}\n"})
	h.must(dir, "up", "-d")
	h.must(dir, "stop", "-t", "1", "stopped")
	h.must(other, "up", "-d")
	rows := h.ps(dir)
	h.wantOutput(dir, "line\nline\n", "exec", "-T", "web", "cat", "/data/starts")
	h.powerOff(false)

	torn := []string{
		h.folderOf(rows["torn-web-2"]) + "/container.json",
		h.folderOf(rows["torn-db-1"]) + "/status.json",
		"networks/torn_default/network.json",
		"networks/torn_default/leases.json",
		"volumes/torn_data/volume.json",
	}
	for _, path := range torn {
		full := filepath.Join(h.state, path)
		raw, err := os.ReadFile(full)
		if err != nil {
			t.Fatal(err)
		}
		// In the middle of the first object of those that lie in the file.
		if err := os.WriteFile(full, raw[:min(100, len(raw)/2)], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built, err := os.ReadFile(filepath.Join(h.state, h.folderOf(rows["torn-built-1"]), "container.json"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(built), `"imageDigest":"`)
	digest, _, _ := strings.Cut(after, `"`)
	image := filepath.Join(h.state, "images", digest+".json")
	if _, err := os.Stat(image); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(h.state, h.folderBeside(rows), "container.json")
	original, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	future := []byte(replaceOnce(t, string(original), "mycompose-object 1 ", "mycompose-object 2 "))
	if err := os.WriteFile(newer, future, 0o600); err != nil {
		t.Fatal(err)
	}

	h.boot()
	h.wantStates(dir, map[string]string{"db": "running", "web": "running", "web-2": "running", "built": "running", "stopped": "exited"})
	info := h.must("", "info")
	for _, path := range append(torn, "images/"+filepath.Base(image)) {
		if err := want(info, path+" was damaged; its remains are "+filepath.Join(h.state, path)+".torn "); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(h.state, path) + ".torn"); err != nil {
			t.Error(err)
		}
	}
	h.must("", "system", "prune", "-f")
	if info := h.must("", "info"); strings.Contains(info, "was damaged") {
		t.Errorf("after a prune:\n%s", info)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Join(h.state, torn[0]))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the damaged container: %v", err)
	}
	h.wantOutput(dir, strings.Repeat("line\n", 4), "exec", "-T", "web", "cat", "/data/starts")
	if got := h.must(dir, "exec", "-T", "built", "cat", "/text"); got != "built\n" {
		t.Errorf("the image holds %q", got)
	}
	if err := want(info, "a newer mycompose wrote it (format 2, this one reads up to 1)"); err != nil {
		t.Error(err)
	}
	if r := h.run(other, "up", "-d"); r.code == 0 || !strings.Contains(r.stderr, "newer mycompose") {
		t.Errorf("up beside a newer container: %d, %s", r.code, r.stderr)
	}
	if now, err := os.ReadFile(newer); err != nil || string(now) != string(future) {
		t.Errorf("the newer object was touched: %v", err)
	}
	// Back to one that is understood, so that the host's end removes it.
	if err := os.WriteFile(newer, original, 0o600); err != nil {
		t.Fatal(err)
	}
	h.killDaemon()
	h.eventually(func() error {
		if _, ok := h.ps(other)["other-one-1"]; !ok {
			return fmt.Errorf("not there yet")
		}
		return nil
	})
}

// folderOf is a container's folder below the state folder; the row has only the
// beginning of its id.
func (h *host) folderOf(r row) string {
	h.t.Helper()
	dirs, err := filepath.Glob(filepath.Join(h.state, "containers", r.ID+"*"))
	if err != nil || len(dirs) != 1 {
		h.t.Fatalf("folders of %s: %v, %v", r.Name, dirs, err)
	}
	return "containers/" + filepath.Base(dirs[0])
}

// folderBeside is the folder of the only container that is not in rows.
func (h *host) folderBeside(rows map[string]row) string {
	h.t.Helper()
	known := map[string]bool{}
	for _, r := range rows {
		known[h.folderOf(r)] = true
	}
	entries, err := os.ReadDir(filepath.Join(h.state, "containers"))
	if err != nil {
		h.t.Fatal(err)
	}
	var beside []string
	for _, e := range entries {
		if dir := "containers/" + e.Name(); !known[dir] {
			beside = append(beside, dir)
		}
	}
	if len(beside) != 1 {
		h.t.Fatalf("containers beside those: %v", beside)
	}
	return beside[0]
}
