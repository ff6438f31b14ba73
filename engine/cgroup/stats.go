package cgroup

import (
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stats is what a group uses; what a host does not count is zero.
type Stats struct {
	CPU         time.Duration // all processors together, since it was created
	Memory      int64         // bytes, without file cache that can be dropped
	MemoryLimit int64         // bytes, 0: none
	Pids        int64
	PidsLimit   int64 // 0: none
	ReadBytes   int64 // from block devices
	WriteBytes  int64
	OOMKills    int64
}

// Stats reads the group's counters.
func (g *Group) Stats() (Stats, error) {
	if !g.Exists() {
		return Stats{}, fmt.Errorf("cannot read cgroup %s: %w", g.path, os.ErrNotExist)
	}
	var s Stats
	read := func(controller, v1, v2 string) (text string, isV2 bool) {
		h, ok := g.host.with(controller)
		if !ok {
			return "", false
		}
		name := v1
		if h.v2 {
			name = v2
		}
		data, err := readFile(path.Join(g.dir(h), name))
		if err != nil {
			return "", h.v2
		}
		return string(data), h.v2
	}
	s.CPU = g.cpuTime()
	usage, isV2 := read("memory", "memory.usage_in_bytes", "memory.current")
	stat, _ := read("memory", "memory.stat", "memory.stat")
	cache := counter(stat, "total_inactive_file")
	if isV2 {
		cache = counter(stat, "inactive_file")
	}
	s.Memory = max(first(usage)-cache, 0)
	limit, _ := read("memory", "memory.limit_in_bytes", "memory.max")
	if n := first(limit); n < 1<<62 { // v1 says "none" with the largest page
		s.MemoryLimit = n
	}
	pids, _ := read("pids", "pids.current", "pids.current")
	pidsLimit, _ := read("pids", "pids.max", "pids.max")
	s.Pids, s.PidsLimit = first(pids), first(pidsLimit)
	oom, _ := read("memory", "memory.oom_control", "memory.events")
	s.OOMKills = counter(oom, "oom_kill")
	if text, isV2 := read("blkio", "blkio.throttle.io_service_bytes", ""); !isV2 {
		s.ReadBytes, s.WriteBytes = blockBytesV1(text)
	}
	if text, isV2 := read("io", "", "io.stat"); isV2 {
		s.ReadBytes, s.WriteBytes = blockBytesV2(text)
	}
	return s, nil
}

func (g *Group) cpuTime() time.Duration {
	if h, ok := g.host.with("cpuacct"); ok {
		data, _ := readFile(path.Join(g.dir(h), "cpuacct.usage"))
		return time.Duration(first(string(data)))
	}
	if h, ok := g.host.unified(); ok { // there without any controller
		data, _ := readFile(path.Join(g.dir(h), "cpu.stat"))
		return time.Duration(counter(string(data), "usage_usec")) * time.Microsecond
	}
	return 0
}

// OOMFile opens the counter of OOM kills: memory.events on v2,
// memory.oom_control on v1; OOMKills reads it. A host without the memory
// controller has none, and no error: then the file is nil.
func (g *Group) OOMFile() (*os.File, error) {
	h, ok := g.host.with("memory")
	if !ok {
		return nil, nil
	}
	name := "memory.oom_control"
	if h.v2 {
		name = "memory.events"
	}
	f, err := openFile(path.Join(g.dir(h), name), unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("cannot open OOM counter of cgroup %s: %w", g.path, err)
	}
	return f, nil
}

// OOMKills reads the number of processes killed for want of memory from a
// file that OOMFile opened.
func OOMKills(f *os.File) (int64, error) {
	data := make([]byte, 4096)
	n, err := f.ReadAt(data, 0)
	if err != nil && err != io.EOF {
		return 0, fmt.Errorf("cannot read OOM counter: %w", err)
	}
	return counter(string(data[:n]), "oom_kill"), nil
}

// counter finds "name 123" in lines of such.
func counter(text, name string) int64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return first(value)
		}
	}
	return 0
}

// first parses the first word; "max" and anything else is 0.
func first(text string) int64 {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// blockBytesV1 sums lines "8:0 Read 4096".
func blockBytesV1(text string) (read, written int64) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		switch fields[1] {
		case "Read":
			read += first(fields[2])
		case "Write":
			written += first(fields[2])
		}
	}
	return read, written
}

// blockBytesV2 sums lines "8:0 rbytes=4096 wbytes=0 …".
func blockBytesV2(text string) (read, written int64) {
	for word := range strings.FieldsSeq(text) {
		if value, ok := strings.CutPrefix(word, "rbytes="); ok {
			read += first(value)
		}
		if value, ok := strings.CutPrefix(word, "wbytes="); ok {
			written += first(value)
		}
	}
	return read, written
}
