package spawn_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/confine"
)

func TestTheDefaultFilterRefusesWhatItShould(t *testing.T) {
	b := newBox(t)
	b.addProbe()
	denied := []string{
		"unshare-user", "mount", "keyctl", "bpf", "perf_event_open", "open_by_handle_at",
		"io_uring_setup", "clone-newns",
	}
	if runtime.GOARCH == "amd64" {
		denied = append(denied, "int80-unshare-user", "x32-unshare-user")
	}
	want := "getpid: ok\nclone3: function not implemented\n"
	for _, name := range denied {
		want += name + ": operation not permitted\n"
	}
	for name, policy := range map[string]confine.Policy{
		"as loaded by root":           {},
		"as loaded with no_new_privs": {NoNewPrivileges: true},
	} {
		t.Run(name, func(t *testing.T) {
			b.TB, b.policy = t, policy
			c := b.prepare(append([]string{"probe", "getpid", "clone3"}, denied...)...)
			if out, _ := c.run(); out != want {
				t.Errorf("got:\n%swant:\n%s", out, want)
			}
		})
	}
}

func TestWithoutFilterTheKernelItselfAnswers(t *testing.T) {
	b := newBox(t)
	b.addProbe()
	b.policy = confine.Policy{Seccomp: "unconfined"}
	out, _ := b.prepare("probe", "clone3", "keyctl", "unshare-user").run()
	if out != "clone3: invalid argument\nkeyctl: ok\nunshare-user: invalid argument\n" { // of a process with threads
		t.Error(out)
	}
}

func TestTheHostsDisksCannotBeOpened(t *testing.T) {
	b := newBox(t)
	b.addProbe()
	c := b.prepare("probe", "mknod-open-disk")
	out, _ := c.run()
	if strings.Count(out, "operation not permitted") != 4 {
		t.Error(out)
	}
}
