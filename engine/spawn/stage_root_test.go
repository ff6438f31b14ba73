package spawn_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/stage"
)

// TestTheStageDoesAllOfIt runs the tests of this package again with the way that
// is taken where there are no direct starts.
func TestTheStageDoesAllOfIt(t *testing.T) {
	kerneltest.NeedRoot(t)
	if !stage.Direct {
		t.Skip("needs direct starts (amd64): without them the other tests have tried the stage")
	}
	cmd := exec.Command("go", "test", "-count", "1", "-timeout", "20m", ".")
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -tags=stage"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
