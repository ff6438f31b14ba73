package monitor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/logs/read"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/wire"
)

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// plain starts the recipe's arguments as they are, in no container.
type plain struct{}

func (plain) Start(r *recipe.Recipe, _ []*os.File, stdio spawn.Stdio) (*spawn.Process, error) {
	if r.Process.Args[0] == "missing" {
		return nil, &spawn.Error{Step: "exec", Text: "exec: \"missing\": not found", Code: 127}
	}
	process, err := os.StartProcess(r.Process.Args[0], r.Process.Args, &os.ProcAttr{
		Files: []*os.File{stdio.In, stdio.Out, stdio.Err}, Env: r.Process.Env,
	})
	if err != nil {
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(process.Pid, 0)
	if err != nil {
		return nil, err
	}
	pid := process.Pid // Release forgets it
	return &spawn.Process{PID: pid, PIDFD: os.NewFile(uintptr(pidfd), "pidfd")}, process.Release()
}

// rig is a monitor that serves, and a daemon's connection to it.
type rig struct {
	*testing.T
	dir     string
	monitor *Monitor
	ended   chan error

	mu      sync.Mutex
	ensured int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, dir: t.TempDir(), ended: make(chan error, 1)}
	r.monitor = New(Config{
		ID:      testID,
		Starter: plain{},
		EnsureKeeper: func(context.Context) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ensured++
			return nil
		},
		BootID: "this boot",
		Idle:   time.Hour,
		Logf:   t.Logf,
	})
	listener, err := wire.Listen(r.socket())
	r.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.ended <- r.monitor.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		r.monitor.mu.Lock()
		run := r.monitor.run
		alive := run.alive()
		r.monitor.mu.Unlock()
		if alive {
			_ = run.signal(int(unix.SIGKILL))
		}
		select {
		case <-r.ended:
		case <-time.After(time.Minute):
			t.Error("the monitor does not end")
		}
	})
	return r
}

func (r *rig) socket() string { return filepath.Join(r.dir, testID+".sock") }
func (r *rig) log() string    { return filepath.Join(r.dir, "log") }
func (r *rig) record() string { return filepath.Join(r.dir, "exit.json") }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) ensures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ensured
}

// fakeDaemon is a connection to the monitor.
type fakeDaemon struct {
	*rig
	peer   *wire.Peer
	exited chan wire.MonitorExit
	gone   chan struct{}
}

func (r *rig) dial() *fakeDaemon {
	r.Helper()
	conn, err := wire.Dial(r.socket())
	r.must(err)
	d := &fakeDaemon{r, nil, make(chan wire.MonitorExit, 10), make(chan struct{})}
	d.peer = wire.NewPeer(conn, func(_ context.Context, request *wire.Request) (wire.Reply, error) {
		var exit wire.MonitorExit
		if err := request.Decode(&exit); err != nil {
			r.Error(err)
		}
		d.exited <- exit
		return wire.Reply{}, nil
	})
	go func() {
		defer close(d.gone)
		_ = d.peer.Serve(context.Background())
	}()
	r.Cleanup(func() { d.close() })
	return d
}

func (d *fakeDaemon) close() {
	d.peer.Close()
	<-d.gone
}

func (d *fakeDaemon) call(kind string, in, out any) ([]*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.peer.Call(ctx, kind, in, out)
}

func sh(id, script string) recipe.Recipe {
	return recipe.Recipe{
		Version:    recipe.Version,
		ID:         id,
		Process:    recipe.Process{Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin"}},
		Namespaces: recipe.Namespaces{Network: recipe.None},
	}
}

func (d *fakeDaemon) start(script string, stdin bool) {
	d.Helper()
	var started wire.MonitorStarted
	_, err := d.call(wire.MonitorStart, d.request(script, stdin), &started)
	d.must(err)
	if started.PID == 0 || started.StartedAt == 0 {
		d.Fatalf("started %+v", started)
	}
}

func (d *fakeDaemon) request(script string, stdin bool) wire.MonitorStartRequest {
	return wire.MonitorStartRequest{
		Recipe: sh(testID, script), Stdin: stdin, ExitRecord: d.record(), OOM: recipe.None,
		Log: wire.MonitorLog{Dir: d.log()},
	}
}

func (d *fakeDaemon) awaitExit() wire.MonitorExit {
	d.Helper()
	select {
	case exit := <-d.exited:
		return exit
	case <-time.After(time.Minute):
		d.Fatal("no exit is told")
		panic("unreachable")
	}
}

func (d *fakeDaemon) attach(exec string, stdin bool) *os.File {
	d.Helper()
	files, err := d.call(wire.MonitorAttach, wire.MonitorAttachRequest{
		MonitorTarget: wire.MonitorTarget{Exec: exec}, Stdin: stdin}, nil)
	d.must(err)
	if len(files) != 1 {
		d.Fatalf("%d files", len(files))
	}
	d.Cleanup(func() { files[0].Close() })
	return files[0]
}

// stored is what the log holds, the streams after one another.
func (r *rig) stored() (stdout, stderr string) {
	r.Helper()
	reader, err := read.Open(r.log(), read.Options{})
	r.must(err)
	defer reader.Close()
	text := map[byte]*strings.Builder{1: {}, 2: {}, 3: {}}
	for {
		line, err := reader.Next(context.Background())
		if err == io.EOF {
			return text[1].String(), text[2].String()
		}
		r.must(err)
		text[byte(line.Stream)].Write(line.Data)
		text[byte(line.Stream)].WriteByte('\n')
	}
}

// unframe splits Docker's frames by stream.
func unframe(t *testing.T, raw []byte) map[byte]string {
	t.Helper()
	streams := map[byte]string{}
	for len(raw) > 0 {
		if len(raw) < 8 || raw[1]|raw[2]|raw[3] != 0 {
			t.Fatalf("bad frame %q", raw[:min(len(raw), 20)])
		}
		n := int(raw[4])<<24 | int(raw[5])<<16 | int(raw[6])<<8 | int(raw[7])
		if len(raw) < 8+n {
			t.Fatalf("half a frame: %d of %d bytes", len(raw)-8, n)
		}
		streams[raw[0]] += string(raw[8 : 8+n])
		raw = raw[8+n:]
	}
	return streams
}
