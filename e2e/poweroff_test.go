package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// powerOff takes away all of this host's mycompose but the disk: processes by
// their pid, links, rules, control groups, and, unless it is to be found stale,
// the run folder. The next boot has another boot id.
func (h *host) powerOff(stale bool) {
	h.t.Helper()
	h.killAll()
	machine, err := network.Open()
	if err != nil {
		h.t.Fatal(err)
	}
	defer machine.Close()
	links, err := machine.Links("mc" + h.tag)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, link := range links {
		if err := machine.DeleteLinks(link.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.t.Logf("link %s: %v", link.Name, err) // went with its peer
		}
	}
	table := firewall.Open(h.tag, nil)
	if err := errors.Join(table.Remove(), table.Close()); err != nil {
		h.t.Fatal(err)
	}
	h.removeGroups()
	if !stale {
		if err := os.RemoveAll("/run/mycompose/" + h.tag); err != nil {
			h.t.Fatal(err)
		}
	}
	h.boots++
	h.bootID = filepath.Join(h.state, fmt.Sprintf("boot_id.%d", h.boots)) // as long as the host
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d\n", h.boots)
	if err := os.WriteFile(h.bootID, []byte(id), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// killAll stops all processes of this host, so that none answers the end of
// another, kills them, and waits until they are gone.
func (h *host) killAll() {
	h.t.Helper()
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range h.processes() {
			if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				h.t.Fatal(err)
			}
		}
	}
	h.eventually(func() error {
		left := h.processes()
		for _, pid := range left { // began between the two looks
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(left) > 0 {
			return fmt.Errorf("%v are still there", left)
		}
		return nil
	})
}

// processes are those with this host's state folder in their environment or in
// a control group of its tag; zombies have neither.
func (h *host) processes() []int {
	ours := []byte("MYCOMPOSE_STATE_DIR=" + h.state)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if state, err := os.ReadFile(dir + "/stat"); err != nil || bytes.Contains(state, []byte(") Z ")) || pid == os.Getpid() {
			continue
		}
		environment, _ := os.ReadFile(dir + "/environ")
		groups, _ := os.ReadFile(dir + "/cgroup")
		if slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(e []byte) bool { return bytes.Equal(e, ours) }) ||
			bytes.Contains(groups, []byte("/mycompose-"+h.tag)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// removeGroups removes the control groups of this host, the lowest first.
func (h *host) removeGroups() {
	h.t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/mycompose-", "/sys/fs/cgroup/*/mycompose-"} {
		roots, _ := filepath.Glob(pattern + h.tag)
		for _, root := range roots {
			var dirs []string
			err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return err
			})
			if err != nil {
				h.t.Fatal(err)
			}
			slices.Reverse(dirs)
			for _, dir := range dirs {
				h.eventually(func() error { return os.Remove(dir) }) // its processes are being reaped
			}
		}
	}
}

// boot starts the keeper as its unit does, and nothing else.
func (h *host) boot() {
	h.t.Helper()
	keeper := h.command(context.Background(), "", "system", "run")
	log, err := os.Create(filepath.Join(h.state, fmt.Sprintf("keeper.%d", h.boots)))
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	keeper.Stdout, keeper.Stderr = log, log
	if err := keeper.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = keeper.Wait() // ended by powerOff or by h.end
	}()
	h.ended = append(h.ended, ended)
}

// ofThisBoot makes a command see the boot id of this boot.
func (h *host) ofThisBoot(cmd *exec.Cmd) {
	if h.bootID == "" {
		return
	}
	const script = `mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"`
	cmd.Args = append([]string{"sh", "-c", script, h.bootID, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
}

// uptimes are the numbers behind a word in the lines of a log: moments in
// seconds since the machine's boot, written by containers.
func uptimes(h *host, logs, word string) []float64 {
	h.t.Helper()
	var out []float64
	for line := range strings.Lines(logs) {
		if _, number, ok := strings.Cut(line, word+" "); ok {
			at, err := strconv.ParseFloat(strings.Fields(number)[0], 64)
			if err != nil {
				h.t.Fatalf("%q: %v", line, err)
			}
			out = append(out, at)
		}
	}
	return out
}
