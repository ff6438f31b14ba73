package spawn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/stage"
)

// running starts a container that stays until it is removed.
func (b *box) running(change ...func(*container)) *container {
	b.Helper()
	c := b.prepare("sleep", "1000")
	for _, f := range change {
		f(c)
	}
	b.must(c.start())
	return c
}

// exec makes a recipe for a further process.
func (c *container) exec(args ...string) (*recipe.Recipe, []*os.File) {
	c.Helper()
	r := &recipe.Recipe{
		Version: recipe.Version, Kind: recipe.KindExec, ID: "exec", Root: recipe.None,
		Process:    recipe.Process{Args: args, Env: []string{"PATH=/bin"}, Cwd: "/"},
		Namespaces: recipe.Namespaces{Network: recipe.None},
	}
	first := len(c.files)
	c.addCgroups(r)
	for _, kind := range []string{"pid", "ipc", "uts", "net", "cgroup", "mnt"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", c.process.PID, kind))
		c.must(err)
		r.Namespaces.Join = append(r.Namespaces.Join, recipe.Join{Type: kind, File: c.add(f)})
	}
	c.must(c.confiner.Apply(r, c.policy))
	for i := range r.Cgroups {
		r.Cgroups[i] -= recipe.File(first)
	}
	for i := range r.Namespaces.Join {
		r.Namespaces.Join[i].File -= recipe.File(first)
	}
	return r, c.files[first:]
}

// runExec runs a further process and returns what it wrote.
func (c *container) runExec(r *recipe.Recipe, files []*os.File) (string, int, error) {
	c.Helper()
	reader, writer, err := os.Pipe()
	c.must(err)
	defer reader.Close()
	p, err := c.spawner.Start(r, files, spawn.Stdio{Out: writer, Err: writer})
	writer.Close()
	if err != nil {
		return "", -1, err
	}
	out, err := io.ReadAll(reader)
	c.must(err)
	return string(out), waitFor(c.TB, p), nil
}

func TestAnExecIsInsideAndConfined(t *testing.T) {
	b := newBox(t)
	b.addProbe()
	c := b.running()
	namespaces, err := inNamespaces(c.process.PID)
	b.must(err)
	for _, test := range []struct {
		name, script, want string
		change             func(*recipe.Recipe)
	}{
		{"in all namespaces", "cd /proc/self/ns; for n in pid ipc uts net cgroup mnt; do readlink $n; done", namespaces, nil},
		{"in the cgroups", "grep -v ':/$' /proc/self/cgroup", "", nil},
		{"it sees the container's process", "tr '\\0' ' ' < /proc/1/cmdline", "sleep 1000 ", nil},
		{"with the container's rights", "grep CapEff /proc/self/status", "CapEff:\t00000000a80425fb\n", nil},
		{"filtered", "probe clone3 unshare-user", "clone3: function not implemented\nunshare-user: operation not permitted\n", nil},
		{"as another user", "id -u", "1000\n", func(r *recipe.Recipe) { r.Process.UID = 1000; r.Process.Permitted = nil }},
		{"hidden paths are hidden", "stat -c %t:%T /proc/interrupts; touch /proc/sys/kernel/domainname 2>&1 | cut -d: -f3", "1:3\n Read-only file system\n", nil},
		{"with stdio only", "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ", nil},
		{"in its working directory", "pwd", "/tmp\n", func(r *recipe.Recipe) { r.Process.Cwd = "/tmp" }},
		{"disks stay closed", "probe mknod-open-disk | grep -c 'not permitted.*not permitted.*not permitted.*not permitted'", "1\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, files := c.exec("sh", "-c", test.script)
			if test.change != nil {
				test.change(r)
			}
			out, _, err := c.runExec(r, files)
			if err != nil || out != test.want {
				t.Errorf("%s: %v\n%s\nwant:\n%s", test.script, err, out, test.want)
			}
		})
	}
	t.Run("a working directory that is not there is an error", func(t *testing.T) {
		r, files := c.exec("true")
		r.Process.Cwd = "/nonesuch"
		if _, _, err := c.runExec(r, files); err == nil || !strings.Contains(err.Error(), "cannot enter working directory /nonesuch") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the exit code and 127", func(t *testing.T) {
		r, files := c.exec("sh", "-c", "exit 9")
		if _, code, err := c.runExec(r, files); code != 9 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
		r, files = c.exec("nonesuch")
		_, _, err := c.runExec(r, files)
		var failure *spawn.Error
		if !errors.As(err, &failure) || failure.Code != 127 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("the caller stays where it was", func(t *testing.T) {
		own, err := os.Readlink("/proc/self/ns/pid_for_children")
		if now, nowErr := os.Readlink("/proc/thread-self/ns/pid"); own != now || err != nil || nowErr != nil {
			t.Errorf("%s, %s, %v, %v", own, now, err, nowErr)
		}
	})
}

func inNamespaces(pid int) (string, error) {
	all := ""
	for _, kind := range []string{"pid", "ipc", "uts", "net", "cgroup", "mnt"} {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			return "", err
		}
		all += name + "\n"
	}
	return all, nil
}

func TestATerminalIsTheContainersOwn(t *testing.T) {
	b := newBox(t)
	const script = "tty; stty size; stat -c %u:%g:%a $(tty) /dev/console; ls /dev/pts; ps -o tty | tail -1; echo -n '> '; read line; echo got $line"
	check := func(t *testing.T, terminal *os.File, out *bytes.Buffer, copied chan struct{}) {
		t.Helper()
		_, err := terminal.WriteString("hello\n")
		if err != nil {
			t.Error(err)
		}
		<-copied
		if !strings.HasSuffix(out.String(), "got hello\r\n") {
			t.Errorf("%q", out)
		}
	}
	c := b.prepare("sh", "-c", script)
	c.recipe.Process.Terminal, c.recipe.Process.Rows, c.recipe.Process.Columns = true, 11, 22
	c.recipe.Process.UID = 1000
	b.must(c.start())
	check(t, c.process.Terminal, c.out, c.copied)
	c.wait()
	// What is typed may be echoed anywhere between.
	shown := strings.Replace(c.out.String(), "hello\r\n", "", 1)
	if want := "/dev/pts/0\r\n11 22\r\n1000:5:620\r\n1000:5:620\r\n0     ptmx\r\n136,0\r\n"; !strings.Contains(shown, want) {
		t.Errorf("%q, want %q", c.out, want)
	}

	running := b.running()
	r, files := running.exec("sh", "-c", "tty; readlink /proc/self/fd/0; read line; echo got $line")
	r.Process.Terminal = true
	p, err := b.spawner.Start(r, files, spawn.Stdio{})
	b.must(err)
	out, copied := &bytes.Buffer{}, make(chan struct{})
	go func() {
		_, _ = io.Copy(out, p.Terminal)
		close(copied)
	}()
	check(t, p.Terminal, out, copied)
	waitFor(t, p)
	p.Terminal.Close()
	shown = strings.Replace(out.String(), "hello\r\n", "", 1)
	if !strings.Contains(shown, "/dev/pts/0\r\n/dev/pts/0\r\n") {
		t.Errorf("%q", out)
	}
}

func TestAnExecsTerminalIsRefusedWhereDevPtsIsSomethingElse(t *testing.T) {
	b := newBox(t)
	c := b.running(func(c *container) {
		c.recipe.Mounts = []recipe.Mount{{Kind: recipe.MountTmpfs, Target: "/dev/pts", Options: []string{"mode=755"}}}
	})
	r, files := c.exec("sh", "-c", "rm -f /dev/pts/ptmx; ln -s /etc/passwd /dev/pts/ptmx")
	if _, code, err := c.runExec(r, files); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	r, files = c.exec("true")
	r.Process.Terminal = true
	if p, err := b.spawner.Start(r, files, spawn.Stdio{}); err == nil {
		waitFor(t, p)
		t.Error("a terminal was opened")
	}
}

func TestStdioOfTheHostKeepsItsOwner(t *testing.T) {
	b := newBox(t)
	file, err := os.Create(b.dir + "/output")
	b.must(err)
	defer file.Close()
	c := b.prepare("sh", "-c", "echo x > /dev/stdout || echo refused; echo done")
	c.recipe.Process.UID = 1000
	b.must(c.confiner.Apply(c.recipe, c.policy))
	p, err := b.spawner.Start(c.recipe, c.files, spawn.Stdio{Out: file})
	b.must(err)
	waitFor(t, p)
	var st, null unix.Stat_t
	b.must(unix.Fstat(int(file.Fd()), &st))
	b.must(unix.Stat("/dev/null", &null))
	if st.Uid != 0 || null.Uid != 0 {
		t.Errorf("owner of the file is %d, of /dev/null %d", st.Uid, null.Uid)
	}
	// A pipe is ours, and the user's to open again.
	out, _ := b.sh("echo again > /dev/stdout", func(c *container) { c.recipe.Process.UID = 1000 })
	if out != "again\n" {
		t.Errorf("a pipe: %q", out)
	}
}

func TestTheInitReapsAndForwards(t *testing.T) {
	b := newBox(t)
	withInit := func(c *container) { c.recipe.Init = true }
	only := "0" // of its own rights the assembly init keeps none but its five calls
	if stage.Direct {
		only = "1"
	}
	for _, test := range []struct {
		name, script, want string
		code               int
	}{
		{"it is PID 1, without more rights", "for i in $(seq 600); do grep -q mycompose-init /proc/1/cmdline && break; sleep 0.1; done; tr '\\0' ' ' < /proc/1/cmdline | cut -d' ' -f1; grep CapEff /proc/1/status; grep -E 'NoNewPrivs|Seccomp' /proc/1/status",
			"mycompose-init\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t" + only + "\nSeccomp:\t2\nSeccomp_filters:\t1\n", 0},
		{"the exit code goes through", "exit 33", "", 33},
		{"a signal that kills is 128+n", "kill -9 $$", "", 137},
		{"orphans are reaped", "(sleep 0.05 & ) ; sleep 0.4; ps -o stat | grep -c Z", "0\n", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.TB = t
			out, code := b.sh(test.script, withInit)
			if out != test.want || code != test.code {
				t.Errorf("%d %q, want %d %q", code, out, test.code, test.want)
			}
		})
	}
	b.TB = t
	t.Run("SIGTERM reaches the program", func(t *testing.T) {
		b.TB = t
		c := b.prepare("sh", "-c", "trap 'echo bye; exit 5' TERM; touch /ready; while true; do sleep 0.02; done")
		c.recipe.Init = true
		b.must(c.start())
		kerneltest.Eventually(t, time.Minute, func() error {
			_, err := os.Stat(c.upper + "/ready")
			return err
		})
		b.must(unix.PidfdSendSignal(int(c.process.PIDFD.Fd()), unix.SIGTERM, nil, 0))
		if code := c.wait(); code != 5 || c.out.String() != "bye\n" {
			t.Errorf("%d %q", code, c.out)
		}
	})
	t.Run("a program that is not there is 127 as without", func(t *testing.T) {
		b.TB = t
		c := b.prepare("nonesuch")
		c.recipe.Init = true
		err := c.start()
		var failure *spawn.Error
		if !errors.As(err, &failure) || failure.Code != 127 || failure.Text != "cannot execute nonesuch: executable file not found in $PATH" {
			t.Errorf("error %v", err)
		}
	})
	t.Run("with a terminal, the program is in front", func(t *testing.T) {
		b.TB = t
		c := b.prepare("sh", "-c", "read line; echo got $line")
		c.recipe.Init, c.recipe.Process.Terminal = true, true
		b.must(c.start())
		_, err := c.process.Terminal.WriteString("hello\n")
		b.must(err)
		if code := c.wait(); code != 0 || !strings.HasSuffix(c.out.String(), "got hello\r\n") {
			t.Errorf("%d %q", code, c.out)
		}
	})
}
