package folder

import (
	"os"
	"path/filepath"
	"testing"
)

// A link in a lock's place is never followed: what it names is neither locked nor
// written.
func TestWhatIsNoFileInALocksPlaceIsRemoved(t *testing.T) {
	dir := t.TempDir()
	elsewhere, path := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "lock")
	if err := os.WriteFile(elsewhere, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, put := range map[string]func() error{
		"a link":               func() error { return os.Symlink(elsewhere, path) },
		"a link that dangles":  func() error { return os.Symlink("nothing", path) },
		"a folder":             func() error { return os.Mkdir(path, 0o700) },
		"nothing, as it is so": func() error { return nil },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		lock, err := TryLockFile(path, Exclusive)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: then there is %v, %v", name, info, err)
		}
		if err := lock.Unlock(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "text" {
		t.Errorf("elsewhere is %q, %v", text, err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := TryLockFile(path, Exclusive); err == nil {
		t.Error("a folder with something in it is locked")
	}
}
