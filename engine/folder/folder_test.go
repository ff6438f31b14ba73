package folder

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func place(t *testing.T) Place {
	t.Helper()
	dir := t.TempDir()
	return Place{State: filepath.Join(dir, "state"), RunRoot: dir, Run: filepath.Join(dir, "run"), Tag: "run"}
}

func TestTheDaemonsLockTellsItsPid(t *testing.T) {
	p := place(t)
	if err := PrepareRun(p); err != nil {
		t.Fatal(err)
	}
	if pid, err := DaemonPID(p); err != nil || pid != 0 {
		t.Fatalf("without daemon: %d, %v", pid, err)
	}
	lock, err := TakeDaemonLock(p)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := DaemonPID(p); err != nil || pid != os.Getpid() {
		t.Errorf("with a daemon: %d, %v", pid, err)
	}
	if _, err := TakeDaemonLock(p); !errors.Is(err, ErrLocked) {
		t.Errorf("a second daemon: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if pid, err := DaemonPID(p); err != nil || pid != 0 {
		t.Errorf("after the daemon: %d, %v", pid, err)
	}
}

func TestARunFolderOfAnotherBootIsCleared(t *testing.T) {
	p := place(t)
	if err := prepareRun(p, "boot one"); err != nil {
		t.Fatal(err)
	}
	record := p.ExitRecord("abc")
	if err := os.WriteFile(record, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareRun(p, "boot one"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(record); err != nil {
		t.Errorf("the same boot: %v", err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	deep := filepath.Join(p.Run, "a", "b", "c")
	for _, err := range []error{
		os.WriteFile(outside, nil, 0o600), os.MkdirAll(deep, 0o700),
		os.Symlink(filepath.Dir(outside), filepath.Join(deep, "link")), os.WriteFile(filepath.Join(deep, "file"), nil, 0o400),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := prepareRun(p, "boot two"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{record, filepath.Join(p.Run, "a")} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another boot: %s: %v", path, err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	info, err := os.Stat(p.Run)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAProcessOfOursIsAtThePlaceOfItsParent(t *testing.T) {
	want := Place{State: "/srv/state", RunRoot: "/run/other", Run: "/run/other/0123abcd", Tag: "0123abcd"}
	for _, name := range []string{StateDirVariable, RunRootVariable, TagVariable} {
		t.Setenv(name, "")
	}
	if p, err := Inherited(); err == nil {
		t.Errorf("without an environment: %+v", p)
	}
	for _, entry := range want.Environment() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	if got, err := Inherited(); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	t.Setenv(TagVariable, "../x")
	if p, err := Inherited(); err == nil {
		t.Errorf("a tag that leads elsewhere: %+v", p)
	}
}

func TestNamesAreSorted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 100 {
		names := make([]string, n)
		for i := range names {
			names[i] = strconv.Itoa(random.IntN(50))
		}
		want := slices.Sorted(slices.Values(names))
		if SortNames(names); !slices.Equal(names, want) {
			t.Fatalf("got %q, want %q", names, want)
		}
	}
}
