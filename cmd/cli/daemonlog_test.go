package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWhyTheDaemonEndsIsReadFromItsLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.log")
	since := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	text := `time=2026-01-02T03:04:05.000Z level=ERROR msg="the daemon ends" err="before that"
time=2026-01-02T03:04:05.678Z level=ERROR msg="the daemon ends" err=short
time=2026-01-02T03:04:06.000Z level=INFO msg="something else" err="no end"
time=2026-01-02T03:04:07.000Z level=ERROR msg="the daemon ends" err="cannot open \"x\": no"
half a line`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	why, ends := daemonEnds(path, since)
	if want := `cannot open "x": no (` + path + ` has more)`; ends != 2 || why != want {
		t.Errorf("%d ends, %q, want 2, %q", ends, why, want)
	}
	if why, ends := daemonEnds(path+".none", since); ends != 0 || why != "" {
		t.Errorf("without a log: %d, %q", ends, why)
	}
}
