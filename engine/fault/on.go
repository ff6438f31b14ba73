//go:build faults

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Point is a moment at which the process may be killed.
func Point(name string) { pass(name) }

// Environment is what a process must be started with for faults to reach it.
func Environment() []string { return []string{stateVariable + "=" + os.Getenv(stateVariable)} }

const stateVariable = "MYCOMPOSE_STATE_DIR"

// Errno is the error of a call that shall fail, nil otherwise.
func Errno(name string) error {
	if number := pass(name); number != 0 {
		return number
	}
	return nil
}

// pass counts the passage of a point and does what is asked for.
func pass(point string) unix.Errno {
	state := os.Getenv(stateVariable)
	if state == "" {
		return 0
	}
	folder := filepath.Join(state, "faults")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return 0
	}
	process := commandLine()
	result := unix.Errno(0)
	for _, entry := range entries {
		base := filepath.Join(folder, entry.Name())
		if entry.Name() == "trace" {
			trace(base, process, point)
			continue
		}
		base, ok := strings.CutSuffix(base, ".fault")
		if !ok {
			continue
		}
		raw, err := os.ReadFile(base + ".fault")
		if err != nil {
			continue // removed in between
		}
		f, err := parse(string(raw))
		if err != nil {
			panic(fmt.Sprintf("%s.fault: %v", base, err)) // a test is wrong
		}
		if f.point != point || !strings.HasPrefix(process+" ", f.process+" ") || count(base+".hits") != f.hit {
			continue
		}
		if number := f.act(base + ".done"); number != 0 {
			result = number
		}
	}
	return result
}

func commandLine() string {
	words := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	return strings.Join(words, " ")
}

type fault struct {
	point   string
	hit     int64
	action  string
	process string
}

func parse(line string) (fault, error) {
	words := strings.Fields(line)
	if len(words) < 4 {
		return fault{}, fmt.Errorf("cannot read %q: want POINT HIT ACTION PROCESS", line)
	}
	hit, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return fault{}, fmt.Errorf("cannot read %q: %w", line, err)
	}
	return fault{words[0], hit, words[2], strings.Join(words[3:], " ")}, nil
}

// count appends a byte and returns the file's size then. The offset after a
// write with O_APPEND is that of this write, whoever else appends.
func count(path string) int64 {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte{'.'}); err != nil {
		return 0
	}
	offset, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err != nil {
		return 0
	}
	return offset
}

func trace(path, process, point string) {
	words := strings.Fields(process)
	line := strings.Join(words[:min(2, len(words))], " ") + "\t" + point + "\n"
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_, _ = unix.Write(fd, []byte(line))
}

// act does the fault. It writes done first, with the pid.
func (f fault) act(done string) unix.Errno {
	if err := os.WriteFile(done, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	action, argument, _ := strings.Cut(f.action, ":")
	switch action {
	case "kill":
		pid := os.Getpid()
		if argument != "" {
			pid = number(argument)
		}
		_ = unix.Kill(pid, unix.SIGKILL) // one that has ended is no fault
		if argument == "" {
			os.Exit(137) // the first process of a pid namespace cannot kill itself
		}
	case "stop":
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case "hold":
		for {
			if _, err := os.Lstat(done); err != nil {
				return 0
			}
			time.Sleep(time.Millisecond)
		}
	case "errno":
		return errnos[argument]
	default:
		panic("unknown action " + f.action)
	}
	return 0
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return n
}

var errnos = map[string]unix.Errno{
	"EIO": unix.EIO, "ENOMEM": unix.ENOMEM, "EMFILE": unix.EMFILE, "ENOSPC": unix.ENOSPC,
}
