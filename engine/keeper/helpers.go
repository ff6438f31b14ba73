package keeper

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// endHelpers ends builder and proxy of this state folder: once the daemon has
// gone nobody else does. They need not be our children: a keeper before us may
// have been their ancestor.
func (k *Keeper) endHelpers() {
	end := time.Now().Add(endTime)
	for _, hard := range []bool{false, true} {
		for {
			pids := k.findHelpers()
			if len(pids) == 0 {
				return
			}
			for _, pid := range pids {
				k.signalHelper(pid, hard)
			}
			if !hard && time.Now().After(end) {
				break
			}
			if hard && time.Now().After(end.Add(endTime)) {
				k.logf("cannot end builder or proxy: still there")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// findHelpers finds builder and proxy by their name and state folder.
func (k *Keeper) findHelpers() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // filepath.Glob would make the program larger
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && k.isHelper("/proc/"+name) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (k *Keeper) isHelper(proc string) bool {
	command, err := os.ReadFile(proc + "/cmdline")
	if err != nil {
		return false
	}
	name, _, _ := bytes.Cut(command, []byte{0})
	if role := filepath.Base(string(name)); role != wire.RoleBuilder && role != wire.RoleProxy {
		return false
	}
	environment, err := os.ReadFile(proc + "/environ")
	if err != nil {
		return false
	}
	const end = "\x00"
	return strings.Contains(end+string(environment)+end, end+folder.StateDirVariable+"="+k.place.State+end)
}

// signalHelper looks again once it holds the process: the pid may be another's.
func (k *Keeper) signalHelper(pid int, hard bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	if k.isHelper("/proc/" + strconv.Itoa(pid)) {
		_ = unix.PidfdSendSignal(fd, signalOf(hard), nil, 0)
	}
}
