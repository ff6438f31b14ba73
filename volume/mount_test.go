package volume

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

// disk makes a file system in a file and a loop device of it.
func disk(t *testing.T, mkfs string, arguments ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(kerneltest.NeedProgram(t, mkfs), append(arguments, image)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(kerneltest.NeedProgram(t, "losetup"), "-f", "--show", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "-d", device).CombinedOutput(); err != nil {
			t.Errorf("%s is left: %s", device, out)
		}
	})
	return device
}

func made(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "v")
	if err := Create(dir, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmount(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestMountShowsAFileSystemUntilItIsUnmounted(t *testing.T) {
	kerneltest.NeedRoot(t)
	device := disk(t, "mkfs.ext4", "-q")
	for _, f := range []FileSystem{
		{Type: "tmpfs", Device: "tmpfs", Words: []string{"size=1m", "mode=0750", "uid=7", "defaults", "noexec"}},
		{Type: "ext4", Device: device, Words: []string{"noatime", "nosuid"}},
	} {
		t.Run(f.Type, func(t *testing.T) {
			dir := made(t)
			for range 2 { // a second time changes nothing
				if err := Mount(dir, f); err != nil {
					t.Fatal(err)
				}
			}
			if on, err := Mounted(dir); err != nil || !on {
				t.Fatalf("mounted: %v, %v", on, err)
			}
			var fs unix.Statfs_t
			var st unix.Stat_t
			if err := unix.Statfs(Data(dir), &fs); err != nil {
				t.Fatal(err)
			}
			if err := unix.Stat(Data(dir), &st); err != nil {
				t.Fatal(err)
			}
			switch f.Type {
			case "tmpfs":
				if fs.Blocks*uint64(fs.Bsize) != 1<<20 || st.Uid != 7 || st.Mode&0o7777 != 0o750 || fs.Flags&unix.ST_NOEXEC == 0 {
					t.Errorf("%+v of %d:%o", fs, st.Uid, st.Mode)
				}
			case "ext4":
				if fs.Type != unix.EXT4_SUPER_MAGIC || fs.Flags&unix.ST_NOATIME == 0 || fs.Flags&unix.ST_NOSUID == 0 {
					t.Errorf("%+v", fs)
				}
			}
			if err := os.WriteFile(filepath.Join(Data(dir), "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := Unmount(dir); err != nil {
					t.Fatal(err)
				}
			}
			if entries, err := os.ReadDir(Data(dir)); err != nil || len(entries) > 0 {
				t.Errorf("below the mount: %v, %v", entries, err)
			}
		})
	}
}

func TestRemoveLeavesWhatIsMounted(t *testing.T) {
	kerneltest.NeedRoot(t)
	device := disk(t, "mkfs.ext4", "-q")
	f := FileSystem{Type: "ext4", Device: device}
	dir := made(t)
	if err := Mount(dir, f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(Data(dir), "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	again := made(t)
	if err := Mount(again, f); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(Data(again), "file")); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeMountedIsSaidInWords(t *testing.T) {
	kerneltest.NeedRoot(t)
	device := disk(t, "mkfs.ext4", "-q")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    FileSystem
		want []string
	}{
		{FileSystem{Type: "nosuchfs", Device: "x"}, []string{"this kernel has no file system nosuchfs", "modprobe nosuchfs"}},
		{FileSystem{Type: "tmpfs", Device: "tmpfs", Words: []string{"bogus=1"}}, []string{"tmpfs does not take the mount option bogus", "change o"}},
		{FileSystem{Type: "tmpfs", Device: "tmpfs", Words: []string{"password=hunter2"}}, []string{"does not take the mount option password"}},
		{FileSystem{Type: "ext4", Device: "/dev/nosuchdevice"}, []string{"there is no device /dev/nosuchdevice"}},
		{FileSystem{Type: "ext4", Device: file}, []string{file + " is no block device", "losetup"}},
		{FileSystem{Type: "ext2", Device: device}, []string{"there is no ext2 on " + device}},
	} {
		dir := made(t)
		err := Mount(dir, c.f)
		if err == nil {
			t.Errorf("%+v was mounted", c.f)
			continue
		}
		for _, text := range append(c.want, "cannot mount volume v: ") {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v; want %q", c.f, err, text)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password shows: %v", err)
		}
	}
}

func TestErrorsOfServersSayWhatToDo(t *testing.T) {
	f := FileSystem{Type: "nfs", Device: "nas:/srv"}
	for errno, want := range map[unix.Errno]string{
		unix.EHOSTUNREACH: "the server of nas:/srv does not answer", unix.ETIMEDOUT: "does not answer", unix.ECONNREFUSED: "does not answer",
		unix.EACCES: "the server does not give nas:/srv to this host", unix.ENOENT: "the server has no nas:/srv",
		unix.EPROTONOSUPPORT: "does not speak this version of nfs", unix.EIO: "nfs of nas:/srv cannot be mounted",
	} {
		if err := f.failed(errno, ""); !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", errno, err)
		}
	}
}
