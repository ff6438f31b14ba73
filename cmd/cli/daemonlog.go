package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// logTail is how much of daemon.log is looked through, in bytes.
const logTail = 32 << 10

// daemonEnds reads from daemon.log why daemons have ended by themselves since a
// moment, in the last one's words, and how many have.
func daemonEnds(path string, since time.Time) (why string, ends int) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return "", 0
		}
	}
	raw, err := io.ReadAll(io.LimitReader(f, logTail))
	if err != nil {
		return "", 0
	}
	for line := range strings.Lines(string(raw)) {
		cause, ok := strings.CutPrefix(after(line, ` msg="the daemon ends"`), " err=")
		if !ok {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		// Its stamps have milliseconds.
		if at, err := time.Parse(time.RFC3339Nano, stamp); err != nil || at.Before(since.Truncate(time.Millisecond)) {
			continue
		}
		cause = strings.TrimSpace(cause)
		if plain, err := strconv.Unquote(cause); err == nil {
			cause = plain
		}
		why, ends = fmt.Sprintf("%s (%s has more)", cause, path), ends+1
	}
	return why, ends
}

// after is what follows a text, or "".
func after(line, text string) string {
	_, rest, _ := strings.Cut(line, text)
	return rest
}
