package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func TestOpenBindGivesADetachedMount(t *testing.T) {
	kerneltest.NeedRoot(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	tree, err := OpenBind(source, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	inside := fmt.Sprintf("/proc/self/fd/%d/new", tree.Fd())
	if err := os.WriteFile(inside, nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("write through a read-only bind: %v", err)
	}
	if err := os.WriteFile(filepath.Join(source, "seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(inside), "seen")); err != nil {
		t.Errorf("the source's file is not seen: %v", err)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("a mount shows on the host:\n%s", after)
	}
}

func TestMissingBindSource(t *testing.T) {
	kerneltest.NeedRoot(t)
	source := filepath.Join(t.TempDir(), "a", "b")
	if _, err := OpenBind(source, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	tree, err := OpenBind(source, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
}

func TestSubpathCannotLeadOut(t *testing.T) {
	kerneltest.NeedRoot(t)
	dir := filepath.Join(t.TempDir(), "v")
	if err := Create(dir, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(Data(dir), "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc", filepath.Join(Data(dir), "out")); err != nil {
		t.Fatal(err)
	}
	tree, err := Open(dir, "sub", Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
	for _, bad := range []string{"out", "../../../../etc", "missing"} {
		if tree, err := Open(dir, bad, Options{}); err == nil {
			tree.Close()
			t.Errorf("%s was opened", bad)
		}
	}
}
