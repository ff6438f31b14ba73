package vfork_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mycompose/mycompose/engine/vfork"
)

// TestItIsTheLimitBeforePackageOS runs this test again, below a shell that has
// lowered the soft limit.
func TestItIsTheLimitBeforePackageOS(t *testing.T) {
	if os.Getenv("NOFILE_TEST") != "" {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
			t.Fatal(err)
		}
		soft, hard := vfork.Original()
		fmt.Printf("original %d of %d, raised %v\n", soft, hard, now.Cur > soft)
		return
	}
	cmd := exec.Command("sh", "-c", `ulimit -S -n 123; ulimit -H -n 456; exec "$0" -test.run '^TestItIsTheLimitBeforePackageOS$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "NOFILE_TEST=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "original 123 of 456, raised true\n"; !strings.Contains(string(out), want) {
		t.Errorf("%s, want %s", out, want)
	}
}
