package container

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// Real-time signals as the C library gives them to programs: the kernel's
// first two are the library's own. signal(7).
const (
	rtMin = 34
	rtMax = 64
)

// Signal returns the number of a signal named with or without SIG, as
// RTMIN+n or RTMAX-n, or by number. Empty is SIGTERM.
func Signal(name string) (int, error) {
	if name == "" {
		return int(unix.SIGTERM), nil
	}
	word := strings.TrimPrefix(strings.ToUpper(name), "SIG")
	if n, err := strconv.Atoi(word); err == nil && n > 0 && n <= rtMax {
		return n, nil
	}
	if n := unix.SignalNum("SIG" + word); n != 0 {
		return int(n), nil
	}
	if n, ok := realTime(word); ok {
		return n, nil
	}
	return 0, spec.Errorf(spec.ErrInvalid, "cannot use signal %q: no such signal", name)
}

func realTime(word string) (int, bool) {
	for prefix, base := range map[string]int{"RTMIN": rtMin, "RTMAX": rtMax} {
		rest, ok := strings.CutPrefix(word, prefix)
		if !ok {
			continue
		}
		offset := 0
		if rest != "" {
			var err error
			if offset, err = strconv.Atoi(rest); err != nil || (rest[0] != '+' && rest[0] != '-') {
				return 0, false
			}
		}
		n := base + offset
		return n, n >= rtMin && n <= rtMax
	}
	return 0, false
}
