package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// deadline only guards against hanging.
const deadline = 60 * time.Second

// world is one mycompose with a state folder of its own.
type world struct {
	binary, dir, state, tag string
	port                    int // of page
	nearPort                int // of the neighbour
	before                  things
	neighbours              map[string]process
	lost                    int // lines
	leftovers               int
	traced                  []string // by TestTrace
}

// outcome is how a command ended; code -1 is a signal.
type outcome struct {
	stdout, stderr string
	code           int
}

// newWorld starts an engine with an image and a neighbour.
func newWorld(t *testing.T, binary, image string) (*world, error) {
	dir, err := os.MkdirTemp("", "mc-crash-")
	if err != nil {
		return nil, err
	}
	w := &world{binary: binary, dir: dir, state: filepath.Join(dir, "state"), port: freePort(t), nearPort: freePort(t)}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(w.state, 0o711), os.Mkdir(filepath.Join(dir, "home"), 0o700)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(w.state))
	w.tag = hex.EncodeToString(sum[:])[:8]
	if err := w.must("", "image", "import", image, "busybox"); err != nil {
		return w, err
	}
	if err := w.writeProjects(); err != nil {
		return w, err
	}
	if err := w.must("near", "up", "-d"); err != nil {
		return w, err
	}
	links := things{}
	w.lookAtKernel(links)
	// The first project makes what stays: folders, files of locks. Its links go
	// a moment later.
	err = errors.Join(w.must("shop", "up", "-d"), w.must("shop", "down", "-v", "-t", "1"), eventually(func() error {
		now := things{}
		w.lookAtKernel(now)
		if more := minus(now, links); len(more) > 0 {
			return fmt.Errorf("left of the first project: %s", strings.Join(more, ", "))
		}
		return nil
	}))
	if err != nil {
		return w, err
	}
	if err := w.endBuilder(); err != nil {
		return w, err
	}
	if w.neighbours, err = w.processes("near"); err != nil {
		return w, err
	}
	w.before = w.look()
	return w, nil
}

func freePort(t *testing.T) int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// end takes all down and reports what is left of it.
func (w *world) end() error {
	errs := []error{w.disarm()}
	listed, err := w.run("", "ls", "-a", "-q")
	errs = append(errs, err)
	for _, project := range strings.Fields(listed.stdout) {
		errs = append(errs, w.must("", "-p", project, "down", "-v", "--remove-orphans", "-t", "1"))
	}
	errs = append(errs, w.must("", "system", "stop", "--all"))
	if errors.Join(errs...) != nil {
		return errors.Join(errs...)
	}
	err = eventually(func() error {
		var left []string
		for thing := range kerneltest.Take(w.tag) {
			left = append(left, thing)
		}
		for _, pid := range w.roles("daemon") { // one that race started is in our own cgroup
			left = append(left, fmt.Sprintf("daemon %d", pid))
		}
		if len(left) > 0 {
			return fmt.Errorf("left at the end: %s", strings.Join(left, ", "))
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll("/run/mycompose/"+w.tag), os.RemoveAll(w.dir))
}

// command is a mycompose that runs.
type command struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
	cancel         context.CancelFunc
	ctx            context.Context
}

// start begins a command in the folder of a project, "" for none.
func (w *world) start(project string, args ...string) (*command, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	c := &command{Cmd: exec.CommandContext(ctx, w.binary, args...), cancel: cancel, ctx: ctx}
	c.Dir = filepath.Join(w.dir, project)
	c.Env = []string{"MYCOMPOSE_STATE_DIR=" + w.state, "HOME=" + filepath.Join(w.dir, "home"), "PATH=" + os.Getenv("PATH")}
	c.Stdout, c.Stderr = &c.stdout, &c.stderr
	if err := c.Start(); err != nil {
		cancel()
		return nil, err
	}
	return c, nil
}

func (c *command) wait() (outcome, error) {
	defer c.cancel()
	err := c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return outcome{}, err
	}
	o := outcome{c.stdout.String(), c.stderr.String(), c.ProcessState.ExitCode()}
	if c.ctx.Err() != nil {
		return o, fmt.Errorf("mycompose %s hangs: %s%s", strings.Join(c.Args[1:], " "), o.stdout, o.stderr)
	}
	return o, nil
}

func (w *world) run(project string, args ...string) (outcome, error) {
	c, err := w.start(project, args...)
	if err != nil {
		return outcome{}, err
	}
	return c.wait()
}

// must is run for what has to succeed.
func (w *world) must(project string, args ...string) error {
	o, err := w.run(project, args...)
	if err == nil && o.code != 0 {
		err = fmt.Errorf("mycompose %s: exit code %d: %s", strings.Join(args, " "), o.code, lastLines(o.stderr+o.stdout))
	}
	return err
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-6):], " | ")
}

// row is one line of ps --format json.
type row struct {
	ID, Name, Service, State, Health string
	ExitCode                         int
}

func (w *world) ps(project string) (map[string]row, error) {
	o, err := w.run(project, "ps", "-a", "--format", "json")
	if err == nil && o.code != 0 {
		err = errors.New(o.stderr)
	}
	rows := map[string]row{}
	for line := range strings.Lines(o.stdout) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, err
		}
		rows[strings.TrimPrefix(r.Name, project+"-")] = r
	}
	return rows, err
}

// process is the first process of a container: its number may be another's
// later, but not with the same start.
type process struct {
	pid   int
	start int // in clock ticks since boot
}

// processes are the first processes of a project's running containers.
func (w *world) processes(project string) (map[string]process, error) {
	rows, err := w.ps(project)
	if err != nil {
		return nil, err
	}
	found := map[string]process{}
	for name, r := range rows {
		if r.State != "running" {
			continue
		}
		if p := w.process(project, r.ID); p.pid != 0 { // else it has just ended
			found[name] = p
		}
	}
	return found, nil
}

func (w *world) process(project, id string) process {
	group := "/mycompose-" + w.tag + "/" + project + "/" + id + "*/cgroup.procs"
	for _, path := range append(glob("/sys/fs/cgroup/*"+group), glob("/sys/fs/cgroup"+group)...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var first process
		for word := range strings.FieldsSeq(string(raw)) {
			pid, _ := strconv.Atoi(word)
			if start := startOf(pid); start > 0 && (first.pid == 0 || start < first.start || start == first.start && pid < first.pid) {
				first = process{pid, start}
			}
		}
		if first.pid != 0 {
			return first
		}
	}
	return process{}
}

// startOf is field 22 of /proc/PID/stat, 0 if it has ended.
func startOf(pid int) int {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	start, _ := strconv.Atoi(fields[19])
	return start
}

// roles finds the processes of a role of this state folder: "daemon",
// "keeper", "builder", "monitor" and "monitor <beginning of an id>".
func (w *world) roles(role string) []int {
	want := "mycompose-" + role
	if role == "daemon" {
		want = "mycompose daemon"
	}
	var pids []int
	for _, dir := range glob("/proc/[0-9]*") {
		raw, _ := os.ReadFile(dir + "/cmdline")
		line := strings.ReplaceAll(strings.TrimRight(string(raw), "\x00"), "\x00", " ")
		line = line[strings.LastIndex(line[:strings.IndexByte(line+" ", ' ')], "/")+1:]
		if !strings.HasPrefix(line, want) || isSpare(line) || !w.owns(dir) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		pids = append(pids, pid)
	}
	return pids
}

func (w *world) owns(dir string) bool {
	raw, _ := os.ReadFile(dir + "/environ")
	return slices.Contains(strings.Split(string(raw), "\x00"), "MYCOMPOSE_STATE_DIR="+w.state)
}

func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern)
	return paths
}

// endBuilder ends the builder, so that its bridge and namespaces go.
func (w *world) endBuilder() error {
	for _, pid := range w.roles("builder") {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return eventually(func() error {
		if left := w.roles("builder"); len(left) > 0 {
			return fmt.Errorf("builder %v does not end", left)
		}
		return nil
	})
}

// eventually waits for a condition; the deadline only guards against hanging.
func eventually(check func() error) error {
	end := time.Now().Add(deadline)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("still not so after %s: %w", deadline, err)
		}
		time.Sleep(pause)
	}
}
