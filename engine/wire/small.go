package wire

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
)

// Small is a start of the small program in one of its roles.
type Small struct {
	Program *os.File // executed by its descriptor
	Args    []string // Args[0] is the role
	Env     []string
	// Output becomes stdout and stderr; nil: the caller's stderr.
	Output *os.File
	// Files become descriptors 3 and on; then Program, if it is not among
	// them.
	Files []*os.File
	// Descriptors is how many it will have open: its table holds them from
	// the beginning, see roomy. 0 is the kernel's 64.
	Descriptors int
	// Cgroup is the folder of a cgroup v2 to be born in, nil for the caller's.
	Cgroup *os.File
}

// ManyDescriptors are those of a process that has some for every container or
// connection.
const ManyDescriptors = 1024

// Start starts it in a session of its own, in the folder /, with /dev/null as
// stdin. The caller waits for the process.
func (s Small) Start() (*os.Process, error) {
	if s.Output == nil {
		s.Output = os.Stderr
	}
	return startProgram(s)
}

// StartDaemon executes the mycompose binary's descriptor as the daemon of a
// place, in a session of its own, with descriptors FDBinary and FDSmall. The
// caller waits for the process.
func StartDaemon(place folder.Place, binary, small, output *os.File) (*os.Process, error) {
	args := []string{"mycompose", "daemon", "--state-dir", place.State}
	return startProgram(Small{ // which it is not, but started as one
		Program: binary, Args: args, Env: place.Environment(), Output: output,
		Files: []*os.File{binary, small}, Descriptors: ManyDescriptors,
	})
}

func startProgram(s Small) (*os.Process, error) {
	if err := fault.Errno("process:start"); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", s.Args[0], err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", s.Args[0], err)
	}
	defer null.Close()
	system := &syscall.SysProcAttr{Setsid: true}
	if s.Cgroup != nil {
		system.UseCgroupFD, system.CgroupFD = true, int(s.Cgroup.Fd())
	}
	process, err := startFile(s.Program, s.Args, &os.ProcAttr{
		Dir:   "/",
		Env:   s.Env,
		Files: roomy(s.Program, append([]*os.File{null, s.Output, s.Output}, s.Files...), s.Descriptors),
		Sys:   system,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", s.Args[0], err)
	}
	fault.Point("process:started")
	return process, nil
}

// startAndWait starts it and waits for its end.
func startAndWait(s Small) error {
	process, err := s.Start()
	if err != nil {
		return err
	}
	state, err := process.Wait()
	if err != nil {
		return err
	}
	if !state.Success() {
		return fmt.Errorf("%s: %s", s.Args[0], state)
	}
	return nil
}

// roomy makes a child's table of descriptors large enough for so many. A table
// that grows when there are threads waits for an RCU grace period, 10 to 20 ms;
// in a child that is about to execute its program it does not, and it never
// shrinks. Package syscall moves what it still needs above the last of the files,
// also if that is none, and the kernel rounds what is asked for up to a power of
// two.
func roomy(program *os.File, files []*os.File, descriptors int) []*os.File {
	var limit unix.Rlimit
	last := descriptors / 2
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur <= uint64(2*last) {
		return files
	}
	if !slices.Contains(files, program) { // startFile would put it at the end
		files = append(files, program)
	}
	return append(files, make([]*os.File, max(0, last-len(files)))...)
}

// startFile executes an open program by its descriptor, whose number must hold
// in the child: a program that is not among the files becomes one more.
func startFile(program *os.File, args []string, attr *os.ProcAttr) (*os.Process, error) {
	number := slices.Index(attr.Files, program)
	if number < 0 {
		number = len(attr.Files)
		attr.Files = append(attr.Files, program)
	}
	return os.StartProcess("/proc/self/fd/"+strconv.Itoa(number), args, attr)
}
