package engine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/container"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// ready is a script that ends at SIGTERM, and that leaves a file while it would;
// isReady looks for it.
const (
	ready   = "trap 'rm /dev/shm/ready; exit 0' TERM; : > /dev/shm/ready; while :; do sleep 1000 & wait $!; done"
	isReady = "test -e /dev/shm/ready"
)

// patient is a grace that a slow machine does not use up.
var patient = time.Minute

// startReady starts a container with the script ready and waits until it would
// end at SIGTERM.
func (r *rig) startReady(b spec.Blueprint) string {
	r.t.Helper()
	b.StopGrace = &patient
	b.Entrypoint = []string{"/bin/sh", "-c", ready}
	id := r.start(b)
	r.eventuallyRun(id, isReady)
	return id
}

// in is the rig of a subtest.
func (r *rig) in(t *testing.T) *rig {
	other := *r
	other.t = t
	return &other
}

func (r *rig) restart(id string) spec.Status {
	r.t.Helper()
	if err := r.engine.StopContainer(r.t.Context(), id, spec.Stop{Keep: true}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.engine.StartContainer(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
	return r.status(id)
}

// surroundings is what a container sees of its namespaces, mounts and devices.
const surroundings = `readlink /proc/1/ns/net /proc/1/ns/mnt /proc/1/ns/ipc /proc/1/ns/uts /proc/1/ns/cgroup
cut -d' ' -f2-4 /proc/mounts | sort
hostname; id; stat -c '%n %A %u %g %t %T' /dev/[!c]*; test -c /dev/console && echo console; wc -c /proc/kcore /proc/keys 2>&1; cat /etc/hosts /proc/self/cgroup
touch /proc/sys/kernel/x /sys/x 2>&1`

func TestARestartHappensInPlace(t *testing.T) {
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	if _, err := r.engine.CreateVolume(t.Context(), spec.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	bind := t.TempDir()
	if err := os.WriteFile(filepath.Join(bind, "file"), []byte("here"), 0o644); err != nil {
		t.Fatal(err)
	}
	plain := func() spec.Blueprint {
		b := on(shell("web", ready), spec.Attachment{Network: "n"})
		b.Mounts = []spec.Mount{
			{Type: spec.MountTmpfs, Target: "/cache"}, {Type: spec.MountVolume, Source: "v", Target: "/v"},
			{Type: spec.MountBind, Source: bind, Target: "/b"}, {Type: spec.MountBind, Source: bind + "/file", Target: "/f"},
		}
		return b
	}
	for name, change := range map[string]func(b *spec.Blueprint){
		"plain":                   func(*spec.Blueprint) {},
		"a user":                  func(b *spec.Blueprint) { b.User, b.Mounts[0].TmpfsUID = "app", 1000 },
		"a terminal":              func(b *spec.Blueprint) { b.Terminal = true },
		"parts of the host":       func(b *spec.Blueprint) { b.NetworkMode, b.Networks, b.HostUTS = modeHost, nil, true },
		"an init":                 func(b *spec.Blueprint) { b.Init = true },
		"an init with a terminal": func(b *spec.Blueprint) { b.Init, b.Terminal, b.ReadOnlyRoot = true, true, true },
		"no new rights":           func(b *spec.Blueprint) { b.NoNewPrivileges, b.CapAdd = true, []string{"NET_ADMIN"} },
		"devices": func(b *spec.Blueprint) {
			b.Devices = []spec.DeviceMapping{{Source: "/dev/full", Target: "/dev/mine"}, {Source: "/dev/full", Target: "/dev/null"}}
		},
		"a shm of its own": func(b *spec.Blueprint) {
			b.Mounts = append(b.Mounts, spec.Mount{Type: spec.MountTmpfs, Target: "/dev/shm", TmpfsMode: 0o777, TmpfsGID: 44})
		},
		"a folder and umask": func(b *spec.Blueprint) { b.WorkingDir = "/made/for/it" },
	} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			b := plain()
			b.Name = strings.ReplaceAll(name, " ", "-")
			change(&b)
			id := r.startReady(b)
			r.run(id, "echo old > /cache/old; sleep 2000 >/dev/null 2>&1 &")
			before, _ := r.run(id, surroundings)
			was := r.status(id)
			if now := r.restart(id); !now.InPlace || now.Previous == nil || !now.StartedAt.After(was.StartedAt) {
				t.Errorf("after a restart: %+v", now)
			}
			r.eventuallyRun(id, isReady)
			if after, _ := r.run(id, surroundings); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			// What is there stays, and of the processes none.
			if out, code := r.run(id, "cat /cache/old; cat /f /b/file; ! ps | grep 'sleep 200[0]'"); code != 0 || out != "old\nherehere" {
				t.Errorf("%d: %s", code, out)
			}
			if again := r.restart(id); !again.InPlace {
				t.Errorf("after a second restart: %+v", again)
			}
			if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true}); err != nil {
				t.Error(err)
			}
		})
	}
}

// rights is a script that fails unless modes and owners are those of a new start.
const rights = `set -- $(stat -c %a:%u:%g /dev/null /dev/zero /dev /dev/shm /cache /etc/hosts /etc/hostname)
test "$*" = '666:0:0 666:0:0 755:0:0 1777:0:0 1777:0:0 644:0:0 644:0:0' && test "$(readlink /dev/ptmx)" = pts/ptmx`

func TestWhatIsNotAsItWasIsMadeAnew(t *testing.T) {
	r := newRig(t)
	bind := t.TempDir()
	file := filepath.Join(bind, "file")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	mounted := func(b *spec.Blueprint) {
		b.Mounts = []spec.Mount{
			{Type: spec.MountBind, Source: file, Target: "/f"}, {Type: spec.MountBind, Source: bind, Target: "/b"},
		}
	}
	type start struct {
		blueprint func(b *spec.Blueprint)
		between   func(t *testing.T, id string)
		check     string
	}
	changes := func(script string) start {
		return start{
			func(b *spec.Blueprint) { b.Mounts = []spec.Mount{{Type: spec.MountTmpfs, Target: "/cache"}} },
			func(t *testing.T, id string) {
				if out, code := r.in(t).run(id, script+" 2>&1"); code != 0 {
					t.Fatal(out)
				}
			}, rights,
		}
	}
	for name, test := range map[string]start{
		"privileged":            {blueprint: func(b *spec.Blueprint) { b.Privileged = true }},
		"may mount":             {blueprint: func(b *spec.Blueprint) { b.CapAdd = []string{"SYS_ADMIN"} }},
		"processes of the host": {blueprint: func(b *spec.Blueprint) { b.HostPID = true }},
		"a bound file that an editor has replaced": {mounted, func(*testing.T, string) { write("edited") }, "grep edited /f"},
		"something is mounted below a bound folder": {mounted, func(t *testing.T, _ string) {
			below := filepath.Join(bind, "below")
			if err := os.Mkdir(below, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("x", below, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(below, 0); err != nil {
					t.Error(err)
				}
			})
		}, "grep /b/below /proc/mounts"},
		"its /etc/hosts":           {nil, func(t *testing.T, id string) { r.in(t).run(id, "echo 1.1.1.1 one >> /etc/hosts") }, "! grep one /etc/hosts"},
		"no /dev/null":             {nil, func(t *testing.T, id string) { r.in(t).run(id, "rm /dev/null; : > /dev/null") }, "test -c /dev/null"},
		"/dev/null for nobody":     changes("chmod 600 /dev/null"),
		"an owner of /dev/zero":    changes("chown 1000 /dev/zero"),
		"a folder of devices":      changes("chmod 777 /dev"),
		"a link to the terminal":   changes("ln -sf /tmp /dev/ptmx"),
		"a closed /dev/shm":        changes("chmod 700 /dev/shm"),
		"a tmpfs for its user":     changes("chown app:app /cache"),
		"a tmpfs for nobody":       changes("chmod 0 /cache"),
		"an /etc/hosts for nobody": changes("chmod 600 /etc/hosts"),
		"a hostname for anybody":   changes("chmod 666 /etc/hostname"),
		"a list of who may come in": {
			func(b *spec.Blueprint) { b.Mounts = []spec.Mount{{Type: spec.MountTmpfs, Target: "/cache"}} },
			func(t *testing.T, id string) { r.in(t).giveAccess(id, "/cache") }, rights,
		},
		"what an exec may have mounted": {nil, func(t *testing.T, id string) {
			x, err := r.engine.Exec(t.Context(), spec.Exec{Container: id, Privileged: true, Args: []string{"/bin/sh", "-c", "mkdir -p /mnt && mount -t tmpfs x /mnt"}})
			if err != nil {
				t.Fatal(err)
			}
			if result, err := r.engine.WaitExec(t.Context(), id, x); err != nil || result.ExitCode != 0 {
				t.Fatalf("mount: %+v, %v", result, err)
			}
		}, "! grep ' /mnt ' /proc/mounts"},
		"what a hook may have mounted": {func(b *spec.Blueprint) {
			b.PreStop = []spec.Hook{{Privileged: true, Args: []string{"/bin/sh", "-c", "mkdir -p /mnt && mount -t tmpfs x /mnt"}}}
		}, func(t *testing.T, id string) {
			if err := r.engine.RunHooks(t.Context(), id, spec.PreStop); err != nil {
				t.Fatal(err)
			}
		}, "! grep ' /mnt ' /proc/mounts"},
		"killed": {nil, func(t *testing.T, id string) {
			none := time.Duration(0)
			if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true, Grace: &none}); err != nil {
				t.Fatal(err)
			}
		}, "test ! -e /dev/shm/old"},
	} {
		t.Run(name, func(t *testing.T) {
			r := r.in(t)
			write("first")
			b := shell(strings.ReplaceAll(strings.ReplaceAll(name, "/", ""), " ", "-"), ready)
			if test.blueprint != nil {
				test.blueprint(&b)
			}
			id := r.startReady(b)
			r.run(id, "touch /dev/shm/old")
			if test.between != nil {
				test.between(t, id)
			}
			now := r.restart(id)
			if now.InPlace || now.State != spec.StateRunning {
				t.Errorf("after a restart: %+v", now)
			}
			if out, code := r.run(id, "test ! -e /dev/shm/old || exit 1; "+test.check); code != 0 {
				t.Errorf("%d: %s", code, out)
			}
			r.eventuallyRun(id, isReady)
			if err := r.engine.RemoveContainer(t.Context(), id, spec.Remove{Force: true}); err != nil {
				t.Error(err)
			}
		})
	}
}

// giveAccess gives the user 1000 all rights to a file of a container, by an access
// control list, acl(5), that leaves its mode as it is.
func (r *rig) giveAccess(id, name string) {
	r.t.Helper()
	l, err := r.engine.changeable(id)
	if err != nil {
		r.t.Fatal(err)
	}
	l.turn.Lock()
	ns, err := l.mountNamespace()
	l.turn.Unlock()
	if err != nil {
		r.t.Fatal(err)
	}
	defer ns.Close()
	// linux/posix_acl_xattr.h: the version, then tag, permissions and id of each.
	list := binary.LittleEndian.AppendUint32(nil, 2)
	for _, entry := range [][2]uint16{{0x01, 7}, {0x02, 7}, {0x04, 7}, {0x10, 7}, {0x20, 7}} {
		list = binary.LittleEndian.AppendUint16(list, entry[0])
		list = binary.LittleEndian.AppendUint16(list, entry[1])
		who := ^uint32(0)
		if entry[0] == 0x02 {
			who = 1000
		}
		list = binary.LittleEndian.AppendUint32(list, who)
	}
	err = container.InMountNamespace(ns, false, func(*tree.Root) error {
		return unix.Setxattr(name, "system.posix_acl_access", list, 0)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// What ends just when its time is up is not killed, as its group is its next run's;
// that one is not even if another client has begun it meanwhile.
func TestWhatHasEndedIsNotKilledInItsNextRunsGroup(t *testing.T) {
	r := newRig(t)
	id := r.startReady(shell("web", ready))
	l, err := r.engine.changeable(id)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := l.look()
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.killRun(t.Context(), l, first.Run); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.State != spec.StateRunning || !s.InPlace {
		t.Errorf("its next run is %s, in place: %t", s.State, s.InPlace)
	}
	r.eventuallyRun(id, isReady)
	second, _, _ := l.look()
	// Whoever stopped the first has slept through its end.
	if err := r.engine.waitOrKill(t.Context(), l, first.Run, 0); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.State != spec.StateRunning || !s.StartedAt.Equal(second.Status.StartedAt) {
		t.Errorf("the next run was ended with the first: %+v", s)
	}
	if err := r.engine.waitOrKill(t.Context(), l, second.Run, 0); err != nil {
		t.Fatal(err)
	}
	if s := r.status(id); s.Up() {
		t.Errorf("the run that was meant is %s", s.State)
	}
}

// A restart that nobody lived to note is one by command all the same: the policy
// answers its end, and whoever stopped the run before has not stopped this one.
func TestARestartThatWasNotNotedIsNotAStop(t *testing.T) {
	r := newRig(t)
	b := shell("web", ready)
	b.Restart = spec.Restart{Policy: spec.RestartAlways}
	id := r.startReady(b)
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	l, err := r.engine.changeable(id)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := l.look()
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.eventuallyRun(id, isReady)
	l.turn.Lock()
	l.set(func(c *condition) { *c = before })
	r.engine.persist(l)
	l.turn.Unlock()
	r.reopen()
	if s := r.status(id); s.State != spec.StateRunning || s.StoppedByUser {
		t.Fatalf("it is %s, stopped by its user: %t", s.State, s.StoppedByUser)
	}
	if l, err = r.engine.changeable(id); err != nil {
		t.Fatal(err)
	}
	l.turn.Lock()
	err = unix.Kill(l.held.pid, unix.SIGKILL)
	l.turn.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	r.until(id, "started by its policy", func(s spec.Status) bool { return s.State == spec.StateRunning && s.Restarts == 1 })
}

func TestWhoMayTraceIsNotStartedInPlace(t *testing.T) {
	r := newRig(t)
	for _, right := range []string{"SYS_PTRACE", "SYS_ADMIN"} {
		b := shell(strings.ToLower(right), ready)
		b.Init, b.CapAdd = true, []string{right}
		if s := r.restart(r.startReady(b)); s.State != spec.StateRunning || s.InPlace {
			t.Errorf("with %s it is %s, in place: %t", right, s.State, s.InPlace)
		}
	}
}

func TestANamespaceOfTheProgramsOwnIsNotLeft(t *testing.T) {
	r := newRig(t)
	b := shell("web", "")
	b.StopGrace, b.Seccomp = &patient, "unconfined"
	b.Entrypoint = []string{"unshare", "-U", "-r", "-m", "/bin/sh", "-c", ready}
	id := r.start(b)
	r.eventuallyRun(id, isReady)
	if err := r.engine.StopContainer(t.Context(), id, spec.Stop{Keep: true}); err != nil {
		t.Fatal(err)
	}
	l, err := r.engine.changeable(id)
	if err != nil {
		t.Fatal(err)
	}
	l.turn.Lock()
	left := l.held.left
	l.turn.Unlock()
	if left != nil {
		t.Error("what the program has unshared is left to the next run")
	}
	if err := r.engine.StartContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}
