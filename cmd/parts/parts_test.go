package parts

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
)

func pack(t *testing.T, program string) fstest.MapFS {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{"bin/builder.zst": {Data: encoder.EncodeAll([]byte(program), nil)}}
}

func TestTheBuilderIsUnpackedOnceAndReplacesAnOlderOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "parts")
	first, err := unpack(pack(t, "one"), dir)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(first)
	again, err := unpack(pack(t, "one"), dir)
	if err != nil || again != first {
		t.Fatalf("got %q, %v", again, err)
	}
	after, _ := os.Stat(first)
	if !os.SameFile(before, after) {
		t.Error("the builder was unpacked a second time")
	}
	if before.Mode().Perm() != 0o500 {
		t.Errorf("mode is %v", before.Mode())
	}
	second, err := unpack(pack(t, "two"), dir)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(second); err != nil || string(data) != "two" {
		t.Errorf("got %q, %v", data, err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("left in the folder: %v", entries)
	}
}

func TestABinaryWithoutItsPartsSaysWhatToDo(t *testing.T) {
	if _, err := unpack(fstest.MapFS{}, t.TempDir()); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
	if _, err := open(fstest.MapFS{}, "bin/small"); !errors.Is(err, ErrMissing) {
		t.Error(err)
	}
}

func TestBrokenBytesLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if _, err := unpack(fstest.MapFS{"bin/builder.zst": {Data: []byte("no zstd")}}, dir); err == nil {
		t.Error("no error")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}
