package e2e

import (
	"archive/tar"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUsersOfHostileImages(t *testing.T) {
	h := newHost(t)
	plain := busyboxTar(t)
	dir := h.project("users", map[string]string{"compose.yaml": "services:\n  a:\n    image: ${IMAGE}\n    network_mode: none\n"})
	passwd := func(text string) string {
		return retar(t, plain, map[string]*tar.Header{"etc/passwd": {Typeflag: tar.TypeReg, Mode: 0o644}}, map[string]string{"etc/passwd": text})
	}
	link := func(to string) string {
		return retar(t, plain, map[string]*tar.Header{"etc/passwd": {Typeflag: tar.TypeSymlink, Linkname: to}}, nil)
	}
	for image, path := range map[string]string{
		"plain":    plain,
		"trap":     passwd("root:x:0:0:root:/root:/bin/sh\n1000:x:0:0:trap:/root:/bin/sh\n4294967295:x:0:0::/:\n0x0:x:0:0::/:\n"),
		"longline": passwd("app:x:7:7:" + strings.Repeat("x", 3<<20) + ":/:/bin/sh\n"),
		"large":    passwd(strings.Repeat("a:x:0:0:a:/:/bin/sh\n", 5<<20/20)),
		"fifo":     retar(t, plain, map[string]*tar.Header{"etc/passwd": {Typeflag: tar.TypeFifo, Mode: 0o666}}, nil),
		"outside":  link("/proc/1/root/etc/passwd"),
		"endless":  link("/dev/zero"),
	} {
		h.must("", "image", "import", path, image)
	}
	for _, c := range []struct {
		name, image, user string
		want              string // what id prints, empty for an error
	}{
		{"a name with the image's groups", "plain", "nobody", "uid=65534(nobody) gid=65534(nogroup) groups=100(users),65534(nogroup)\n"},
		{"a number has the groups of its name", "plain", "65534", "uid=65534(nobody) gid=65534(nogroup) groups=100(users),65534(nogroup)\n"},
		{"an unknown number has no groups of the host", "plain", "1234:1234", "uid=1234 gid=1234 groups=1234\n"},
		{"a number that is another's name", "trap", "1000", "uid=1000 gid=0(root) groups=0(root)\n"},
		{"the number that is -1", "trap", "4294967295", ""},
		{"a number above the range", "plain", "2147483648", ""},
		{"a negative number", "plain", "-1", ""},
		{"hexadecimal that is no name", "plain", "0x0", ""},
		{"a space behind", "plain", "0 ", ""},
		{"an unknown name", "plain", "nosuch", ""},
		{"a line of 3 MB", "longline", "app", "uid=7(app) gid=7 groups=7\n"},
		{"a file of 5 MB", "large", "a", ""},
		{"a fifo", "fifo", "nobody", ""},
		{"a link to the host's file", "outside", "root:root", ""},
		{"a link to what never ends", "endless", "nobody", ""},
	} {
		h.env = append(h.env, "IMAGE="+c.image)
		r := h.run(dir, "run", "--rm", "-T", "--user="+c.user, "a", "id")
		ok := r.code == 0 && tidy(r.stdout) == c.want
		if c.want == "" {
			ok = r.code != 0 && r.stdout == "" && strings.Count(r.stderr, "cannot") > 0
		}
		if !ok {
			t.Errorf("%s: code %d, %.300q, stderr %.600q", c.name, r.code, r.stdout, r.stderr)
		}
	}
	var null unix.Stat_t
	if err := unix.Stat("/dev/null", &null); err != nil || null.Uid != 0 || null.Gid != 0 || null.Mode&0o777 != 0o666 {
		t.Errorf("the host's /dev/null is %+v, %v", null, err)
	}
}

func TestUnknownPrivilegesAreErrors(t *testing.T) {
	h := newHost(t)
	h.busybox()
	for key, word := range map[string]string{
		"cap_add: [NET_ADMIN]":                  "", // known, so it runs
		"cap_add: [NET_ADMINN]":                 "NET_ADMINN",
		"cap_drop: [CAP_NOSUCH]":                "NOSUCH",
		"ulimits: {nofiles: 100}":               "nofiles",
		"security_opt: [seccomp=unconfind]":     "unconfind",
		"security_opt: [no-new-privilege:true]": "no-new-privilege",
		"sysctls: {kernel.core_pattern: x}":     "kernel.core_pattern",
		"sysctls: {vm.swappiness: 1}":           "vm.swappiness",
		"sysctls: {net.ipv4.nosuch: 1}":         "net.ipv4.nosuch",
	} {
		dir := h.project("unknown", map[string]string{"compose.yaml": "services:\n  a:\n    image: busybox\n    command: echo it runs\n    " + key + "\n"})
		r := h.run(dir, "run", "--rm", "-T", "a")
		runs := r.code == 0 && r.stdout == "it runs\n"
		refused := r.code != 0 && r.stdout == "" && strings.Contains(r.stderr, word)
		if word == "" && !runs || word != "" && !refused {
			t.Errorf("%s: code %d, %q, %q", key, r.code, r.stdout, r.stderr)
		}
	}
}

// without runs mycompose, and so the resident processes that it starts,
// without a capability.
func (h *host) without(capability uintptr, dir string, args ...string) (said string, code int) {
	h.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread is thrown away
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			done <- err
			return
		}
		cmd := h.command(h.t.Context(), dir, args...)
		raw, _ := cmd.CombinedOutput()
		said, code = string(raw), cmd.ProcessState.ExitCode()
		done <- nil
	}()
	if err := <-done; err != nil {
		h.t.Fatal(err)
	}
	return said, code
}

func TestWithoutTheRightToRaiseLimitsThereIsOneClearLine(t *testing.T) {
	h := newHost(t)
	if said, code := h.without(unix.CAP_SYS_RESOURCE, "", "image", "import", busyboxTar(t), "busybox"); code != 0 {
		t.Fatal(said)
	}
	const file = "services:\n  a:\n    image: busybox\n    command: ['sleep', '1000']\n    init: true\n"
	plain := h.project("plain", map[string]string{"compose.yaml": file})
	if said, code := h.without(unix.CAP_SYS_RESOURCE, plain, "up", "-d"); code != 0 {
		t.Errorf("a container that raises nothing: %s", said)
	}
	raises := h.project("raises", map[string]string{"compose.yaml": file + "    ulimits: {nofile: 536870912}\n"})
	said, code := h.without(unix.CAP_SYS_RESOURCE, raises, "up", "-d")
	lines := strings.Split(strings.TrimSpace(said), "\n")
	const line = "needs CAP_SYS_RESOURCE, which this machine does not give"
	if last := lines[len(lines)-1]; code != 1 || !strings.HasPrefix(last, "cannot start raises-a-1: ") || !strings.HasSuffix(last, line) {
		t.Errorf("code %d, want the last line to be the cause:\n%s", code, said)
	}
	if state := h.ps(plain)["plain-a-1"].State; state != "running" {
		t.Errorf("the other container is %q", state)
	}
}

func TestAStateFolderThatCannotBeAnOverlaysUpperIsNamed(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("upper", map[string]string{"compose.yaml": "services:\n  a:\n    image: busybox\n    command: ['true']\n"})
	base := tempDir(t)
	for _, name := range []string{"lower", "upper", "work", "state"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(base, "state")
	options := "lowerdir=" + base + "/lower,upperdir=" + base + "/upper,workdir=" + base + "/work"
	if err := unix.Mount("overlay", state, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(state, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	flag := "--state-dir=" + state
	defer h.run(dir, flag, "system", "stop", "--all")
	if r := h.run(dir, flag, "image", "import", busyboxTar(t), "busybox"); r.code != 0 {
		t.Fatalf("import: %s", r.stderr)
	}
	r := h.run(dir, flag, "up", "-d")
	if r.code == 0 {
		t.Fatal("it starts")
	}
	errors := 0
	for line := range strings.Lines(r.stderr) {
		if strings.Contains(line, "(overlay)") && strings.Contains(line, "--state-dir") && strings.Contains(line, state) {
			errors++
		}
	}
	if errors != 1 {
		t.Errorf("want one line with the file system and --state-dir:\n%s", r.stderr)
	}
}
