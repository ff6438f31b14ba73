package load

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAProcessorThatTheHostLacksIsRefusedAtItsLine(t *testing.T) {
	for _, c := range []struct{ cpuset, online, wrong string }{
		{"0", "0", ""},
		{"0-3", "0-1,2-3", ""},
		{"1,3", "0-3\n", ""},
		{"900", "0-1", "this host has no processor 900"},
		{"0-2", "0-1", "this host has no processor 2"},
		{"0,5", "0-3,8", "this host has no processor 5"},
		{"0-9000", "0-8191", "this host has no processor 8192"},
	} {
		dir := t.TempDir()
		text := "services:\n  web:\n    image: busybox\n    cpuset: '" + c.cpuset + "'\n"
		if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Load(context.Background(), Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if !r.NeedsProcessors() {
			t.Error("cpuset is not seen")
		}
		err = r.CheckProcessors(c.online)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s on %q: %v", c.cpuset, c.online, err)
		case c.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), "compose.yaml:4:5: services.web.cpuset: "+c.wrong)):
			t.Errorf("%s on %q: got %v, want %s", c.cpuset, c.online, err, c.wrong)
		}
	}
}

func TestALoadThatFailsKeepsItsWarnings(t *testing.T) {
	dir := t.TempDir()
	text := "services:\n  web:\n    imgae: busybox\n    command: $FORGOTTEN\n"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Load(context.Background(), Options{Dir: dir})
	if err == nil || r == nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "FORGOTTEN") {
		t.Errorf("got %+v and %v, want the mistake and the warning of FORGOTTEN", r, err)
	}
}
