package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/folder"
)

// A command gives up on daemons whose ends stand in the log as "the daemon ends".
func TestADaemonThatIsNotNeededDoesNotCountAsOneThatCannotStayUp(t *testing.T) {
	dir := t.TempDir()
	place := folder.Place{State: dir, Run: dir}
	lock, err := folder.TakeDaemonLock(place)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if !heldByAnother(place) {
		t.Error("a lock that we hold is held by nobody who lives")
	}
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place.DaemonLock(), fmt.Appendf(nil, "%-10d\n", gone.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if heldByAnother(place) {
		t.Error("an heir of a daemon that has ended is one")
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if !heldByAnother(place) {
		t.Error("who has just let go was none")
	}

	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	if code := ended(errAnother, log); code == 0 || strings.Contains(text.String(), "the daemon ends") {
		t.Errorf("code %d, log %q", code, text.String())
	}
}
