package e2e

// The tests of what a container, an image or a local user must not be able to
// do, numbered as in the engine's list of negative tests (reference/engine.md,
// section 4). Below a number stand the tests that hold it; a name without
// package is here, in e2e.
//
//	 1  own programs not writable  spawn.TestOurProgramsCannotBeWrittenToFromInside,
//	                               spawn.TestASmallProgramThatCouldBeWrittenToIsRefused,
//	                               wire.TestASealedProgramRunsAndCannotBeChanged,
//	                               TestEveryWayIntoAContainerIsConfined
//	 2  only fds 0, 1, 2           spawn.TestOnlyStdioIsOpenInsideAtTheFirstInstruction,
//	                               spawn.TestAnExecIsInsideAndConfined,
//	                               TestEveryWayIntoAContainerIsConfined
//	 3  working directory          spawn.TestTheWorkingDirectoryIsInsideOrTheStartFails,
//	                               TestAWorkingDirectoryOfOursCannotBeEntered
//	 7  links in the image         spawn.TestLinksInTheImageLeadNoMountOutside,
//	                               spawn.TestTheImagesDeviceNodesAreNotUsed
//	 8  /proc mounted over         spawn.TestProcCannotBeMountedOver
//	11  owner of the host's stdio  spawn.TestStdioOfTheHostKeepsItsOwner,
//	                               TestUsersOfHostileImages
//	12  masked and read-only       spawn.TestPathsOfTheKernelAreMaskedOrReadOnly,
//	                               spawn.TestAnExecIsInsideAndConfined
//	13  cgroups read-only          spawn.TestPathsOfTheKernelAreMaskedOrReadOnly,
//	                               TestEveryWayIntoAContainerIsConfined
//	15  capability sets            spawn.TestCapabilitiesAreThoseOfThePolicyAndNoOthers,
//	                               confine.TestCapabilitiesOfAPolicy,
//	                               TestEveryWayIntoAContainerIsConfined
//	16  supplementary groups       container.TestIdentify, TestUsersOfHostileImages
//	17  odd users, odd passwd      container.TestIdentify, container.FuzzIdentify,
//	                               TestUsersOfHostileImages
//	18  seccomp                    spawn.TestTheDefaultFilterRefusesWhatItShould,
//	                               confine.TestDefaultProfileMeansTheSameAfterCompilation,
//	                               confine.TestSystemCallsOfAnUnknownArchitectureEndTheProcess,
//	                               TestEveryWayIntoAContainerIsConfined
//	20  unknown names are errors   confine.TestSysctlsOfTheHostAreRefused,
//	                               confine.TestUlimitsAreChecked,
//	                               confine.TestACapabilityThatTheMachineLacksIsAnErrorByNameOnly,
//	                               TestUnknownPrivilegesAreErrors
//	21  devices                    spawn.TestTheHostsDisksCannotBeOpened,
//	                               spawn.TestAnExecIsInsideAndConfined,
//	                               cgroup.TestDevicesAreDeniedOnV2,
//	                               TestEveryWayIntoAContainerIsConfined
//	22  session keyring            spawn.TestTheHostsSessionKeyringIsNotSeen,
//	                               TestEveryWayIntoAContainerIsConfined
//	44  sockets                    daemon.TestTheSocketIsTheOwnersOnly,
//	                               TestSocketsAreForTheirOwnerOnly
//	45  folders                    TestOtherUsersReachNothingOfTheState
//	46  secrets                    TestASecretStandsNowhereElse

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// confined is run in every way that leads into a container; what it prints is
// the same in all.
const confined = `
echo fds $(ls /proc/self/fd)
grep -E 'CapInh|CapEff|CapAmb|Seccomp:|NoNewPrivs' /proc/self/status | tr '\t\n' '  '; echo
echo exe $( (echo x > /proc/self/exe) 2>&1 | grep -c 'Text file busy')
(echo x > /proc/1/exe) 2>/dev/null && echo 'the exe of PID 1 is writable'
echo cgroups $(grep -v ':/$' /proc/self/cgroup)
for f in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/release_agent; do
  [ -e $f ] && (echo 1 > $f) 2>/dev/null && echo "$f is writable"
done
for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x 2>/dev/null && echo "$d is writable"; done
for f in /proc/kcore /proc/keys /proc/timer_list; do [ -e $f ] && [ "$(stat -c %t:%T $f)" != 1:3 ] && echo "$f is seen"; done
(echo x > /proc/sysrq-trigger) 2>/dev/null && echo sysrq
/probe/probe getpid clone3 unshare-user mount keyctl bpf perf_event_open open_by_handle_at io_uring_setup clone-newns | sort | uniq | tr '\n' ';'; echo
/probe/probe mknod-open-disk | grep -o 'operation not permitted' | wc -l
echo end
`

const confinedSays = `fds 0 1 2 3
CapInh: 0000000000000000 CapEff: 00000000a80425fb CapAmb: 0000000000000000 NoNewPrivs: 0 Seccomp: 2
exe 1
cgroups
bpf: operation not permitted;clone-newns: operation not permitted;clone3: function not implemented;getpid: ok;` +
	`io_uring_setup: operation not permitted;keyctl: operation not permitted;mount: operation not permitted;` +
	`open_by_handle_at: operation not permitted;perf_event_open: operation not permitted;unshare-user: operation not permitted;
4
end
`

const waysIn = `
x-base: &base
  image: busybox
  volumes: ["./probe:/probe", "./out:/out"]
  stop_grace_period: 0s
services:
  program:
    <<: *base
    command: ["sh", "/probe/confined"]
  reaped:
    <<: *base
    init: true
    command: ["sh", "/probe/confined"]
  running:
    <<: *base
    command: ["sleep", "1000"]
    healthcheck:
      test: ["CMD", "sh", "-c", "sh /probe/confined > /out/health 2>&1"]
`

// waysInProject is up, with the script and the probe inside.
func waysInProject(h *host) string {
	h.t.Helper()
	h.busybox()
	dir := h.project("ways", map[string]string{
		"compose.yaml": waysIn, "probe/confined": confined, "probe/self": "#!/proc/self/exe\n", "out/health": "",
	})
	if err := kerneltest.Build(filepath.Join(dir, "probe/probe"), "engine/spawn/testdata/probe", ""); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "probe/self"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.must(dir, "up", "-d")
	return dir
}

func TestEveryWayIntoAContainerIsConfined(t *testing.T) {
	h := newHost(t)
	before := sumOf(t, h.binary)
	dir := waysInProject(h)
	for name, said := range map[string]func() string{
		"the program": func() string { return h.must(dir, "logs", "--no-log-prefix", "program") },
		"behind init": func() string { return h.must(dir, "logs", "--no-log-prefix", "reaped") },
		"exec":        func() string { return h.must(dir, "exec", "-T", "running", "sh", "/probe/confined") },
		"run":         func() string { return h.must(dir, "run", "--rm", "-T", "program") },
		"exec -t": func() string {
			return strings.ReplaceAll(h.onTerminal(dir, "exec", "running", "sh", "/probe/confined"), "\r\n", "\n")
		},
		"the healthcheck": func() string {
			raw, err := os.ReadFile(filepath.Join(dir, "out/health"))
			if err != nil {
				return err.Error()
			}
			return string(raw)
		},
	} {
		end := time.Now().Add(deadline)
		got := tidy(said())
		for !strings.HasSuffix(got, "end\n") && time.Now().Before(end) {
			time.Sleep(20 * time.Millisecond)
			got = tidy(said())
		}
		if got != confinedSays {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, confinedSays)
		}
	}
	if r := h.run(dir, "exec", "-T", "running", "/probe/self"); r.code == 0 {
		t.Errorf("a script whose interpreter is our own program runs: %q", r.stdout)
	}
	if sumOf(t, h.binary) != before {
		t.Error("the host's program has changed")
	}
}

// tidy puts one space between words and none at a line's ends.
func tidy(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return out.String()
}

func sumOf(t testing.TB, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// onTerminal runs mycompose with a terminal as its stdio and returns what it
// wrote there.
func (h *host) onTerminal(dir string, args ...string) string {
	h.t.Helper()
	master, slave := openTerminal(h.t)
	defer master.Close()
	cmd := h.command(h.t.Context(), dir, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	slave.Close()
	if err != nil {
		h.t.Fatal(err)
	}
	said, _ := io.ReadAll(master) // EIO is the end of a terminal
	_ = cmd.Wait()
	return string(said)
}

func openTerminal(t testing.TB) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "master")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func TestAWorkingDirectoryOfOursCannotBeEntered(t *testing.T) {
	h := newHost(t)
	dir := waysInProject(h)
	for n := 3; n <= 24; n++ {
		path := "/proc/self/fd/" + strconv.Itoa(n)
		r := h.run(dir, "exec", "-T", "-w", path, "running", "pwd")
		if r.code == 0 && !strings.HasPrefix(r.stdout, "/") {
			t.Errorf("exec in %s: %q", path, r.stdout)
		}
	}
	for _, path := range []string{"/proc/self/fd/5", "/proc/1/fd/8", "/proc/self/fd/11"} {
		r := h.run(dir, "run", "--rm", "-T", "-w", path, "program", "ls", "-d", "/proc/self/cwd/etc/mycompose", "/proc/self/cwd/var/lib")
		if strings.Contains(r.stdout, "cwd") {
			t.Errorf("run in %s: %q", path, r.stdout)
		}
	}
}
