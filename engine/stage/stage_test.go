package stage

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAProgramIsSearchedAsAShellDoes(t *testing.T) {
	answers := map[string]error{
		"/ok/bin/tool": nil, "/denied/tool": unix.EACCES, "/broken/tool": unix.ENOEXEC, "/direct": nil, "./tool": nil,
	}
	try := func(path string) error {
		if err, known := answers[path]; known {
			return err
		}
		return unix.ENOENT
	}
	for _, test := range []struct {
		name, command string
		env           []string
		code          int
		text          string
	}{
		{"in the second folder", "tool", []string{"PATH=/none:/ok/bin"}, 0, ""},
		{"past one that is denied", "tool", []string{"PATH=/denied:/ok/bin"}, 0, ""},
		{"nowhere", "tool", []string{"PATH=/none"}, 127, "cannot execute tool: executable file not found in $PATH"},
		{"only denied", "tool", []string{"PATH=/denied:/none"}, 126, "cannot execute tool: permission denied"},
		{"not a program", "tool", []string{"PATH=/broken:/ok/bin"}, 126, "cannot execute tool: exec format error"},
		{"an empty folder is the working directory", "tool", []string{"PATH=:/none"}, 0, ""},
		{"with a slash, PATH does not count", "/direct", []string{"PATH=/none"}, 0, ""},
		{"with a slash, and missing", "/ok/nothing", []string{"PATH=/ok/bin"}, 127, "cannot execute /ok/nothing: no such file or directory"},
		{"without PATH in the default folders", "tool", nil, 127, "cannot execute tool: executable file not found in $PATH"},
	} {
		err := search(test.command, test.env, try)
		if test.code == 0 {
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if f := FailureOf(err); err == nil || f.Code != test.code || f.Text != test.text || f.Step != "exec" {
			t.Errorf("%s: %+v", test.name, f)
		}
	}
}

func TestSysctlNamesBecomePaths(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":               "net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/forwarding": "net/ipv4/conf/eth0.100/forwarding",
		"net.ipv4.conf.eth0/100.forwarding": "net/ipv4/conf/eth0.100/forwarding",
		"kernel":                            "kernel",
	} {
		if got := sysctlPath(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestTmpfsOptionsArePartedFromAttributes(t *testing.T) {
	attr, options := tmpfsOptions([]string{"size=64m", "noexec", "nosuid", "rw", "mode=1777", "nodev", "ro"})
	if attr != quiet|unix.MOUNT_ATTR_RDONLY || !slices.Equal(options, []string{"size=64m", "mode=1777"}) {
		t.Errorf("%#x %v", attr, options)
	}
}

func TestRlimitNumbersAreTheKernels(t *testing.T) {
	for name, want := range map[string]int{
		"cpu": unix.RLIMIT_CPU, "fsize": unix.RLIMIT_FSIZE, "core": unix.RLIMIT_CORE, "nproc": unix.RLIMIT_NPROC,
		"nofile": unix.RLIMIT_NOFILE, "memlock": unix.RLIMIT_MEMLOCK, "as": unix.RLIMIT_AS, "locks": unix.RLIMIT_LOCKS,
		"nice": unix.RLIMIT_NICE, "rtprio": unix.RLIMIT_RTPRIO, "rttime": unix.RLIMIT_RTTIME, "stack": unix.RLIMIT_STACK,
	} {
		if got, ok := rlimitNumber(name); got != want || !ok {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if _, ok := rlimitNumber("nofiles"); ok {
		t.Error("nofiles is known")
	}
}

// Mount points are made as a plain user too: nothing here needs rights.
func TestMountPointsAreMadeBelowTheRootWhateverLinksSay(t *testing.T) {
	for _, test := range []struct {
		name  string
		links map[string]string // link below the root → its target
		point string
		made  string // where it is then; "" is an error
	}{
		{"plain", nil, "/a/b/c", "a/b/c"},
		{"dots above the root", nil, "/../../a", "a"},
		{"an absolute link", map[string]string{"a": "/x"}, "/a/b", "x/b"},
		{"a relative link with dots", map[string]string{"a": "../../../x/y"}, "/a/b", "x/y/b"},
		{"a chain", map[string]string{"a": "b", "b": "/c", "c": "d"}, "/a/e", "d/e"},
		{"the last element is a link to nothing", map[string]string{"a": "/x/y"}, "/a", "x/y"},
		{"a loop", map[string]string{"a": "b", "b": "a"}, "/a/c", ""},
		{"a file on the way", map[string]string{"a": "/file"}, "/a/c", ""},
	} {
		for kind, create := range map[string]func(int, string) (int, error){"folder": makeDir, "file": makeFile} {
			dir := t.TempDir()
			root := filepath.Join(dir, "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+"/file", nil, 0o644); err != nil {
				t.Fatal(err)
			}
			for link, target := range test.links {
				if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
					t.Fatal(err)
				}
			}
			fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := create(fd, test.point)
			if (err == nil) != (test.made != "") {
				t.Errorf("%s, %s: %v", test.name, kind, err)
			}
			if err == nil {
				place, _ := os.Readlink(fdName(got))
				if place != filepath.Join(root, test.made) {
					t.Errorf("%s, %s: made %s", test.name, kind, strings.TrimPrefix(place, root))
				}
				unix.Close(got)
			}
			unix.Close(fd)
			if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
				t.Errorf("%s, %s: outside of the root: %v, %v", test.name, kind, entries, err)
			}
		}
	}
}

func fdName(fd int) string { return "/proc/self/fd/" + uintText(uint64(fd)) }

func TestEveryErrorHasACode(t *testing.T) {
	if f := FailureOf(errors.New("plain")); f.Code != codeFailed || f.Text != "plain" {
		t.Errorf("%+v", f)
	}
}
