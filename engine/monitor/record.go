package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/wire"
)

// writeRecord writes an exit record as a whole or not at all. It is not
// synced: after a power failure the container has ended anyway.
func writeRecord(path string, exit wire.MonitorExit) error {
	if path == "" {
		return nil
	}
	raw, err := json.Marshal(exit)
	if err == nil {
		err = replaceFile(path, raw)
	}
	if err != nil {
		return fmt.Errorf("cannot write exit record of %.12s: %w", exit.ID, err)
	}
	return nil
}

func replaceFile(path string, content []byte) error {
	tmp := folder.Temporary(path) // one writer per container
	if err := fault.Errno("monitor:record:write"); err != nil {
		return err
	}
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	fault.Point("monitor:record:written")
	if err := os.Rename(tmp, path); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	fault.Point("monitor:record:renamed")
	return nil
}

// oomKills reads the counter "oom_kill N" of memory.events (v2) or
// memory.oom_control (v1); 0 if it cannot be read: the cgroup has gone.
func oomKills(file *os.File) int64 {
	raw := make([]byte, 512)
	n, err := file.ReadAt(raw, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	return parseOOMKills(string(raw[:n]))
}

func parseOOMKills(text string) int64 {
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, " ")
		if !ok || name != "oom_kill" {
			continue
		}
		count, err := strconv.ParseInt(value, 10, 64)
		if err == nil {
			return count
		}
	}
	return 0
}
