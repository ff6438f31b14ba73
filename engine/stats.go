package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// ContainerStats reads what a container uses now. One that does not run uses
// nothing.
func (e *Engine) ContainerStats(_ context.Context, id string) (spec.Stats, error) {
	l, err := e.life(id)
	if err != nil {
		return spec.Stats{}, err
	}
	out := spec.Stats{Time: time.Now()}
	counted, err := e.group(l).Stats()
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("cannot read what %s uses: %w", l.name(), err)
	}
	out.CPU, out.Memory, out.MemoryLimit, out.Processes = counted.CPU, counted.Memory, counted.MemoryLimit, counted.Pids
	out.Read, out.Written = counted.ReadBytes, counted.WriteBytes
	if out.MemoryLimit == 0 {
		out.MemoryLimit = machineMemory()
	}
	if pid := l.firstProcess(); pid > 0 && l.rec.Blueprint.NetworkMode != modeHost {
		if data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev"); err == nil {
			out.Received, out.Sent = linkBytes(data)
		}
	}
	return out, nil
}

// firstProcess is the number of a container's first process, 0 if it does not
// run.
func (l *life) firstProcess() int {
	l.turn.Lock()
	defer l.turn.Unlock()
	if !l.status().Up() || l.held.pidfd == nil {
		return 0
	}
	return l.held.pid
}

// machineMemory is the machine's in bytes, sysinfo(2).
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// linkBytes adds up the links of proc_pid_net(5) dev, without the loopback.
func linkBytes(dev []byte) (received, sent int64) {
	for line := range bytes.Lines(dev) {
		name, counters, found := strings.Cut(string(line), ":")
		fields := strings.Fields(counters)
		if !found || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		in, inErr := strconv.ParseInt(fields[0], 10, 64)
		out, outErr := strconv.ParseInt(fields[8], 10, 64)
		if inErr == nil && outErr == nil {
			received, sent = received+in, sent+out
		}
	}
	return received, sent
}
