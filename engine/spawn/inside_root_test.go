package spawn_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/confine"
	"github.com/mycompose/mycompose/engine/recipe"
)

func TestTheProgramSeesWhatTheRecipeSays(t *testing.T) {
	b := newBox(t)
	umask := uint32(0o27)
	for _, test := range []struct {
		name, script, want string
		change             func(*container)
	}{
		{"environment, and no other", "env | sort", "A=1\nHOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1\n", func(c *container) {
			c.recipe.Process.Env = append(c.recipe.Process.Env, "A=1")
		}},
		{"a working directory, made if missing", "pwd; stat -c %a:%u .", "/srv/app\n755:0\n", func(c *container) { c.recipe.Process.Cwd = "/srv/app" }},
		{"hostname", "hostname", "box\n", nil},
		{"it is PID 1", "echo $$", "1\n", nil},
		{"umask", "umask", "0027\n", func(c *container) { c.recipe.Process.Umask = &umask }},
		{"user and groups", "id", "uid=1000(app) gid=1001 groups=20,30\n", func(c *container) {
			c.recipe.Process.UID, c.recipe.Process.GID, c.recipe.Process.Groups = 1000, 1001, []uint32{20, 30}
		}},
		{"no group but its own", "id -G", "1001\n", func(c *container) { c.recipe.Process.UID, c.recipe.Process.GID = 1000, 1001 }},
		{"an rlimit", "ulimit -Sn; ulimit -Hn", "100\n200\n", func(c *container) {
			c.recipe.Process.Rlimits = []recipe.Rlimit{{Type: "nofile", Soft: 100, Hard: 200}}
		}},
		{"a sysctl", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shmmax", "80\n4096\n", func(c *container) {
			c.recipe.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shmmax": "4096"}
		}},
		{"an oom score", "cat /proc/self/oom_score_adj", "500\n", func(c *container) { n := 500; c.recipe.Process.OOMScoreAdj = &n }},
		{"its cgroup as the root of all", "grep -v ':/$' /proc/self/cgroup", "", nil},
		{"only its own processes", "ls -d /proc/[0-9]*", "/proc/1\n", nil},
		{"only its own interfaces", "ls /sys/class/net", "lo\n", nil},
		{"a session of its own", "cut -d' ' -f6 /proc/self/stat", "1\n", nil},
		{"signals as they are by default", "", "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", func(c *container) {
			c.recipe.Process.Args = []string{"grep", "-E", "SigBlk|SigIgn", "/proc/self/status"}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.TB = t
			changes := []func(*container){}
			if test.change != nil {
				changes = append(changes, test.change)
			}
			out, _ := b.sh(test.script, changes...)
			if out != test.want {
				t.Errorf("%s:\n%s\nwant:\n%s", test.script, out, test.want)
			}
		})
	}
}

func TestCapabilitiesAreThoseOfThePolicyAndNoOthers(t *testing.T) {
	b := newBox(t)
	const script = "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'"
	const none, defaults = "0000000000000000", "00000000a80425fb"
	status := func(inherited, permitted, bounding, ambient, nnp, seccomp string) string {
		return "CapInh:" + inherited + "\nCapPrm:" + permitted + "\nCapEff:" + permitted + "\nCapBnd:" + bounding +
			"\nCapAmb:" + ambient + "\nNoNewPrivs:" + nnp + "\nSeccomp:" + seccomp + "\n"
	}
	for _, test := range []struct {
		name   string
		policy confine.Policy
		uid    uint32
		change func(*recipe.Recipe)
		want   string
	}{
		{"root has dockerd's default set", confine.Policy{}, 0, nil, status(none, defaults, defaults, none, "0", "2")},
		{"another user has nothing but the bounding set", confine.Policy{}, 1000, nil, status(none, none, defaults, none, "0", "2")},
		{"dropped ones are gone everywhere", confine.Policy{CapDrop: []string{"ALL"}}, 0, nil, status(none, none, none, none, "0", "2")},
		{"no_new_privs is set, and the filter as well", confine.Policy{NoNewPrivileges: true}, 1000, nil, status(none, none, defaults, none, "1", "2")},
		{"unconfined has no filter", confine.Policy{Seccomp: "unconfined"}, 0, nil, status(none, defaults, defaults, none, "0", "0")},
		{"ambient ones only if asked for", confine.Policy{}, 1000, func(r *recipe.Recipe) {
			r.Process.Permitted, r.Process.Inheritable, r.Process.Ambient = []uint{10}, []uint{10}, []uint{10}
		}, status("0000000000000400", "0000000000000400", defaults, "0000000000000400", "0", "2")},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.TB = t
			c := b.prepare("sh", "-c", script)
			c.recipe.Process.UID = test.uid
			c.must(c.confiner.Apply(c.recipe, test.policy))
			if test.change != nil {
				test.change(c.recipe)
			}
			var err error
			c.process, err = c.spawn(c.recipe, c.files)
			c.must(err)
			if c.wait(); c.out.String() != test.want {
				t.Errorf("got:\n%swant:\n%s", c.out, test.want)
			}
		})
	}
}

func TestOnlyStdioIsOpenInsideAtTheFirstInstruction(t *testing.T) {
	b := newBox(t)
	// ls itself opens the folder that it lists as 3.
	for name, c := range map[string]*container{
		"in a container":          b.prepare("ls", "/proc/self/fd"),
		"behind the reaping init": b.prepare("ls", "/proc/self/fd"),
	} {
		c.recipe.Init = strings.Contains(name, "init")
		if out, _ := c.run(); out != "0\n1\n2\n3\n" {
			t.Errorf("%s: %q", name, out)
		}
	}
	out, _ := b.sh("ls /proc/1/fd", func(c *container) { c.recipe.Init = true })
	for _, fd := range strings.Fields(out) {
		if fd == "3" {
			target, _ := b.sh("readlink /proc/1/fd/*", func(c *container) { c.recipe.Init = true })
			if strings.Contains(target, "socket") || strings.Contains(target, "memfd") || strings.Contains(target, "/") && !strings.Contains(target, "anon_inode") && !strings.Contains(target, "pipe") && !strings.Contains(target, "/dev/null") {
				t.Errorf("the init holds %s", target)
			}
		}
	}
}

func TestPathsOfTheKernelAreMaskedOrReadOnly(t *testing.T) {
	b := newBox(t)
	out, _ := b.sh(`
for f in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
  [ -e $f ] && [ "$(stat -c %t:%T $f)" != 1:3 ] && echo "$f is not hidden"
done
for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
  [ -e $d ] && [ -n "$(ls -A $d)" ] && echo "$d is not hidden"
  touch $d/x 2>/dev/null && echo "$d is writable"
done
for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity; do
  [ -e $f ] && (echo x > $f) 2>/dev/null && echo "$f is writable"
done
for d in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do
  mkdir $d/x 2>/dev/null && echo "$d is writable"
done
for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/*/release_agent; do
  [ -e $f ] && (echo 1 > $f) 2>/dev/null && echo "$f is writable"
done
mount -o remount,rw /proc/sys 2>/dev/null && echo "remounted"
umount /proc/kcore 2>/dev/null && echo "unmounted"
echo done`)
	if out != "done\n" {
		t.Error(out)
	}
}

func TestTheHostCannotBeReachedThroughTheMountTable(t *testing.T) {
	b := newBox(t)
	out, _ := b.sh("cat /proc/self/mountinfo")
	for _, secret := range []string{b.dir, "/work", "ext4"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s stands in the mount table:\n%s", secret, out)
		}
	}
	var points []string
	for line := range strings.Lines(out) {
		points = append(points, strings.Fields(line)[4])
	}
	for _, want := range []string{"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"} {
		if !slices.Contains(points, want) {
			t.Errorf("%s is not mounted: %v", want, points)
		}
	}
	entries, _ := b.sh("ls /dev; ls -l /dev/null /dev/ptmx /dev/fd | cut -c1-10; echo x > /dev/null && head -c 2 /dev/zero | wc -c")
	want := "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nlrwxrwxrwx\ncrw-rw-rw-\nlrwxrwxrwx\n2\n"
	if entries != want {
		t.Errorf("/dev:\n%s\nwant:\n%s", entries, want)
	}
	if before, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(before), b.dir) {
		t.Errorf("the host's mount table shows the container: %v", err)
	}
}

func TestOurProgramsCannotBeWrittenToFromInside(t *testing.T) {
	b := newBox(t)
	b.write("bin/self", "#!/proc/self/exe\n")
	b.must(os.Chmod(b.layer+"/bin/self", 0o755))
	for name, script := range map[string]string{
		"its own exe":         "readlink /proc/self/exe; (echo x > /proc/self/exe) 2>&1",
		"the init's exe":      "(echo x > /proc/1/exe) 2>&1; [ -w /proc/1/exe ] || true",
		"a script of our exe": "/bin/self 2>&1",
	} {
		out, _ := b.sh(script, func(c *container) { c.recipe.Init = strings.Contains(name, "init") })
		if name != "a script of our exe" && !strings.Contains(out, "Text file busy") && !strings.Contains(out, "not permitted") && !strings.Contains(out, "ermission denied") {
			t.Errorf("%s: %s", name, out)
		}
	}
	// Executed by the stage itself, the interpreter is our sealed program.
	c := b.prepare("/bin/self")
	if err := c.start(); err == nil {
		c.wait()
	}
	now := make([]byte, 1<<24)
	n, err := b.spawner.Small.ReadAt(now, 0)
	program, buildErr := smallProgram()
	if n != len(program) || string(now[:n]) != string(program) || buildErr != nil {
		t.Errorf("the small program has changed (%v)", err)
	}
}

func TestASmallProgramThatCouldBeWrittenToIsRefused(t *testing.T) {
	b := newBox(t)
	path, err := exec.LookPath("true")
	b.must(err)
	small, err := os.OpenFile(path, os.O_RDONLY, 0)
	b.must(err)
	defer small.Close()
	c := b.prepare("true")
	sealed := c.spawner.Small
	c.box.spawner.Small = small
	err = c.start()
	c.box.spawner.Small = sealed
	if err == nil || !strings.Contains(err.Error(), "could be written to") {
		t.Errorf("error %v", err)
	}
}
