package builder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
)

// What a killed builder leaves half made lies where the next one clears.
func TestTemporaryMountsAreMadeWhereTheNextBuilderClears(t *testing.T) {
	t.Setenv("TMPDIR", os.TempDir()) // and back
	before := os.TempDir()
	state := t.TempDir()
	if err := SetTemporary(state); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mount.SetTempMountLocation(before); err != nil {
			t.Error(err)
		}
	})
	var at string
	err := mount.WithTempMount(t.Context(), nil, func(root string) error { at = root; return errors.New("seen") })
	if filepath.Dir(at) != TempDir(state) || os.TempDir() != TempDir(state) {
		t.Errorf("mounts go to %q, files to %q, not to %s: %v", at, os.TempDir(), TempDir(state), err)
	}
}
