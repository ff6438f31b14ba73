package spawn_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// The programs are built once for all tests of the package.
var (
	smallProgram = sync.OnceValues(func() ([]byte, error) {
		return kerneltest.BuildProgram("engine/spawn/testdata/small")
	})
	probeProgram = sync.OnceValues(func() ([]byte, error) {
		return kerneltest.BuildProgram("engine/spawn/testdata/probe")
	})
)

// box is a place to start containers in: a layer with busybox, a cgroup, what
// a daemon would have.
type box struct {
	testing.TB
	dir, layer string
	tag        string
	spawner    spawn.Spawner
	host       *cgroup.Host
	confiner   *confine.Confiner
	limits     spec.Resources
	policy     confine.Policy
	devices    []cgroup.DeviceRule
}

func newBox(t testing.TB) *box {
	t.Helper()
	kerneltest.NeedRoot(t)
	id := make([]byte, 4)
	rand.Read(id)
	b := &box{TB: t, tag: hex.EncodeToString(id), devices: cgroup.DefaultDevices()}
	kerneltest.NoLeaks(t, b.tag)
	b.dir = t.TempDir()
	b.layer = filepath.Join(b.dir, "layer")
	program, err := smallProgram()
	b.must(err)
	b.spawner.Small, err = wire.SealProgram(bytes.NewReader(program), b.dir)
	b.must(err)
	t.Cleanup(func() { b.spawner.Small.Close() })
	b.host, err = cgroup.Discover()
	b.must(err)
	b.confiner, err = confine.New()
	b.must(err)
	b.makeLayer()
	return b
}

func (b *box) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *box) makeLayer() {
	for _, dir := range []string{"bin", "etc", "tmp", "root"} {
		b.must(os.MkdirAll(filepath.Join(b.layer, dir), 0o755))
	}
	data, err := os.ReadFile("/bin/busybox")
	b.must(err)
	b.must(os.WriteFile(filepath.Join(b.layer, "bin/busybox"), data, 0o755))
	out, err := exec.Command("/bin/busybox", "--list").Output()
	b.must(err)
	for name := range strings.FieldsSeq(string(out)) {
		if name != "busybox" {
			b.must(os.Symlink("busybox", filepath.Join(b.layer, "bin", name)))
		}
	}
	b.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n")
}

func (b *box) write(name, text string) {
	b.Helper()
	path := filepath.Join(b.layer, name)
	b.must(os.MkdirAll(filepath.Dir(path), 0o755))
	b.must(os.WriteFile(path, []byte(text), 0o644))
}

// addProbe puts the probe program into the layer.
func (b *box) addProbe() {
	b.Helper()
	program, err := probeProgram()
	b.must(err)
	b.must(os.WriteFile(filepath.Join(b.layer, "bin/probe"), program, 0o755))
}

// container is one start.
type container struct {
	*box
	recipe  *recipe.Recipe
	files   []*os.File
	group   *cgroup.Group
	upper   string
	process *spawn.Process
	out     *bytes.Buffer
	copied  chan struct{}
}

// prepare makes a recipe that executes args, as a daemon would.
func (b *box) prepare(args ...string) *container {
	b.Helper()
	name := make([]byte, 6)
	rand.Read(name)
	id := hex.EncodeToString(name)
	c := &container{box: b, out: &bytes.Buffer{}, copied: make(chan struct{})}
	c.upper = filepath.Join(b.dir, id, "upper")
	work := filepath.Join(b.dir, id, "work")
	b.must(os.MkdirAll(c.upper, 0o755))
	b.must(os.MkdirAll(work, 0o755))
	root, err := rootfs.Mount(rootfs.Overlay{Layers: []string{b.layer}, Upper: c.upper, Work: work})
	b.must(err)
	c.recipe = &recipe.Recipe{
		Version: recipe.Version, Kind: recipe.KindContainer, ID: id,
		Process: recipe.Process{Args: args, Env: []string{"PATH=/bin", "HOME=/root"}, Cwd: "/"},
		Namespaces: recipe.Namespaces{
			Mount: true, PID: true, IPC: true, UTS: true, Cgroup: true,
			Network: c.add(kerneltest.NewNetNS(b).File),
		},
		Root: c.add(root), Hostname: "box", CgroupMounts: b.host.Mounts(),
	}
	c.group, err = b.host.Create("/mycompose-"+b.tag+"/test/"+id, b.limits, b.devices)
	b.must(err)
	b.Cleanup(func() { c.remove() })
	c.addCgroups(c.recipe)
	return c
}

func (c *container) addCgroups(r *recipe.Recipe) {
	procs, err := c.group.Procs()
	c.must(err)
	for _, f := range procs {
		r.Cgroups = append(r.Cgroups, c.add(f))
	}
}

func (c *container) add(f *os.File) recipe.File {
	c.files = append(c.files, f)
	return recipe.File(len(c.files) - 1)
}

// content is a file in memory.
func (c *container) content(text string) recipe.File {
	fd, err := unix.MemfdCreate("content", unix.MFD_CLOEXEC)
	c.must(err)
	f := os.NewFile(uintptr(fd), "content")
	_, err = f.WriteString(text)
	c.must(err)
	return c.add(f)
}

func (c *container) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.must(c.group.Kill(ctx))
	c.wait()
	c.must(c.group.Remove(ctx))
	for _, f := range c.files {
		f.Close()
	}
	c.files = nil
}

// start starts it; policy counts as far as the recipe has no rights yet.
func (c *container) start() error {
	c.Helper()
	c.must(c.confiner.Apply(c.recipe, c.policy))
	var err error
	c.process, err = c.spawn(c.recipe, c.files)
	return err
}

// spawn starts a recipe with its output going into c.out.
func (c *container) spawn(r *recipe.Recipe, files []*os.File) (*spawn.Process, error) {
	if r.Process.Terminal {
		p, err := c.spawner.Start(r, files, spawn.Stdio{})
		if err == nil {
			go c.copy(p.Terminal)
		} else {
			close(c.copied)
		}
		return p, err
	}
	reader, writer, err := os.Pipe()
	c.must(err)
	p, err := c.spawner.Start(r, files, spawn.Stdio{Out: writer, Err: writer})
	writer.Close()
	go c.copy(reader)
	return p, err
}

func (c *container) copy(from *os.File) {
	_, _ = io.Copy(c.out, from) // a terminal ends with EIO
	from.Close()
	close(c.copied)
}

// wait returns the exit code, 128+n for a signal.
func (c *container) wait() int {
	if c.process == nil {
		return -1
	}
	code := waitFor(c.TB, c.process)
	<-c.copied
	c.process = nil
	return code
}

func waitFor(t testing.TB, p *spawn.Process) int {
	t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.PID, &status, 0, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
	p.PIDFD.Close()
	if p.Init != nil {
		if err := unix.PidfdSendSignal(int(p.Init.PIDFD.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Error(err)
		}
		waitFor(t, p.Init)
	}
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// run starts it, waits, and returns what it wrote.
func (c *container) run() (out string, code int) {
	c.Helper()
	if err := c.start(); err != nil {
		c.Fatalf("cannot start: %v", err)
	}
	code = c.wait()
	return c.out.String(), code
}

// sh runs a shell script in a new container.
func (b *box) sh(script string, change ...func(*container)) (out string, code int) {
	b.Helper()
	c := b.prepare("sh", "-c", script)
	for _, f := range change {
		f(c)
	}
	return c.run()
}
