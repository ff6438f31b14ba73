package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// TestTheMachineBoots is run by vm-reboot.sh in a virtual machine under systemd,
// one stage per boot of it:
//
//	unit       system enable; the unit's life; two projects are up
//	  │ systemctl reboot
//	reboot     what was meant to run came back; one more project is up
//	  │ the power fails
//	powerloss  all of it came back
func TestTheMachineBoots(t *testing.T) {
	stage := os.Getenv("MYCOMPOSE_VM_STAGE")
	if stage == "" {
		t.Skip("needs the virtual machine of make test-vm: this is a stage of vm-reboot.sh")
	}
	kerneltest.NeedRoot(t)
	binary, err := filepath.Abs("../bin/mycompose")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{t: t, binary: binary, state: "/var/lib/mycompose", env: append(kerneltest.WithoutOurs(os.Environ()), "HOME=/root"), slow: 5}
	if err := os.MkdirAll(h.state, 0o711); err != nil { // where commands run
		t.Fatal(err)
	}
	map[string]func(*host){"unit": unitStage, "reboot": rebootStage, "powerloss": powerlossStage}[stage](h)
}

// The projects outlive the test.
const (
	rebootProject = "/srv/reboot"
	lateProject   = "/srv/late"
)

func (h *host) systemctl(args ...string) string {
	h.t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("systemctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// unitState is what systemctl is-active says, also when that is no success.
func unitState() string {
	out, _ := exec.Command("systemctl", "is-active", "mycompose.service").Output()
	return strings.TrimSpace(string(out))
}

// keeper is the unit's main process; it has to be the keeper.
func (h *host) keeper() int {
	h.t.Helper()
	pid, err := strconv.Atoi(h.systemctl("show", "-p", "MainPID", "--value", "mycompose.service"))
	if err != nil || pid == 0 {
		h.t.Fatalf("main process %d, %v", pid, err)
	}
	h.eventually(func() error {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && string(comm) != "mycompose-keepe\n" {
			err = fmt.Errorf("the main process is %q", comm)
		}
		return err
	})
	return pid
}

func (h *host) writeProject(dir, file string) {
	h.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(file), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func unitStage(h *host) {
	t := h.t
	if err := want(h.must("", "system", "status"), "not enabled"); err != nil {
		t.Error(err)
	}
	h.busybox() // starts a keeper by hand; the unit takes over from it
	h.must("", "system", "enable", "--now")
	if got := h.systemctl("is-enabled", "mycompose.service"); got != "enabled" {
		t.Errorf("the unit is %s", got)
	}
	keeper := h.keeper()
	if err := want(h.must("", "system", "status"), fmt.Sprintf("running, pid %d", keeper)); err != nil {
		t.Error(err)
	}
	h.writeProject(rebootProject, rebooting)
	h.must(rebootProject, "up", "-d")
	h.must(rebootProject, "stop", "-t", "1", "stopped", "stubborn")
	h.moments(rebootProject, 1)
	before := h.ps(rebootProject)

	daemon := h.daemonPID()
	h.killDaemon()
	h.eventually(func() error {
		if pid := h.daemonPID(); pid == 0 || pid == daemon {
			return fmt.Errorf("no new daemon yet")
		}
		return nil
	})
	if now := h.keeper(); now != keeper {
		t.Errorf("the main process was %d and is %d", keeper, now)
	}
	h.systemctl("stop", "mycompose.service")
	if state, pid := unitState(), h.daemonPID(); state != "inactive" || pid != 0 {
		t.Errorf("after stop the unit is %s, the daemon %d", state, pid)
	}
	if n := sleepers(); n != 4 { // db, web, retry, plain
		t.Errorf("after stop %d containers run on, want 4", n)
	}
	h.systemctl("start", "mycompose.service")
	h.sameContainers(before)
	killed := h.systemctl("show", "-p", "MainPID", "--value", "mycompose.service")
	if err := syscall.Kill(h.keeper(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.eventually(func() error {
		state, pid := unitState(), h.systemctl("show", "-p", "MainPID", "--value", "mycompose.service")
		if state != "active" || pid == killed || pid == "0" {
			return fmt.Errorf("the unit is %s, its main process %s", state, pid)
		}
		return nil
	})
	h.keeper()
	h.sameContainers(before)
	h.must("", "system", "disable")
	if _, err := os.Stat("/etc/systemd/system/mycompose.service"); err == nil {
		t.Error("the unit is still there after disable")
	}
	h.sameContainers(before)
	h.must("", "system", "enable")
}

// sleepers counts the processes of containers that sleep for good.
func sleepers() int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	n := 0
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && string(raw) == "sleep\x0010000\x00" {
			n++
		}
	}
	return n
}

func (h *host) sameContainers(before map[string]row) {
	h.t.Helper()
	h.eventually(func() error {
		for name, now := range h.ps(rebootProject) {
			if was := before[name]; now.ID != was.ID || now.State != was.State {
				return fmt.Errorf("%s was %v and is %v", name, was, now)
			}
		}
		return nil
	})
	if n := sleepers(); n != 4 {
		h.t.Errorf("%d containers sleep, want 4: one was restarted or lost", n)
	}
}

// cameBack checks, as the second or a later boot, what the project does at each.
func (h *host) cameBack(boots int) {
	t := h.t
	// No command is run before the unit has brought it all back.
	h.eventually(func() error {
		if state := unitState(); state != "active" {
			return fmt.Errorf("the unit is %s", state)
		}
		if n := sleepers(); n < 4 {
			return fmt.Errorf("%d containers run", n)
		}
		return nil
	})
	h.keeper()
	h.wantStates(rebootProject, map[string]string{
		"db": "running", "web": "running", "retry": "running", "stubborn": "running",
		"stopped": "exited", "plain": "exited", "migrate": "exited",
	})
	ready, started := h.moments(rebootProject, boots)
	if started[boots-1] < ready[boots-1] {
		t.Errorf("db was ready at %v, web started at %v", ready, started)
	}
	if logs := h.must(rebootProject, "logs", "migrate"); strings.Count(logs, "migrated once") != 1 {
		t.Errorf("migrate: %q", logs)
	}
	t.Logf("boot %d: db was ready at %v, web started at %v", boots, ready, started)
}

func rebootStage(h *host) {
	h.cameBack(2)
	h.wantOutput(rebootProject, "line\nline\n", "exec", "-T", "web", "cat", "/data/starts")
	h.writeProject(lateProject, `
services:
  first: {image: busybox, init: true, restart: always, command: sleep 20000, configs: [text]}
configs:
  text: {content: kept}
`)
	// The compose file is the user's to sync; what up did is on disk.
	h.must(lateProject, "up", "-d")
	h.must(rebootProject, "stop", "-t", "1", "web")
}

func powerlossStage(h *host) {
	h.eventually(func() error {
		if state := unitState(); state != "active" {
			return fmt.Errorf("the unit is %s", state)
		}
		return nil
	})
	h.eventually(func() error {
		if out := h.must("", "-p", "late", "ps", "-q"); out == "" {
			return fmt.Errorf("no container of late")
		}
		return nil
	})
	h.wantStates(rebootProject, map[string]string{"db": "running", "web": "exited", "stopped": "exited"})
	if got := h.must("", "-p", "late", "exec", "-T", "first", "cat", "/text"); got != "kept" {
		h.t.Errorf("the config holds %q", got)
	}
	h.t.Logf("%s", h.must("", "info"))
}
