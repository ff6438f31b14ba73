package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func TestTheFileSystemOfAFolderIsNamed(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
30 22 0:30 / /var rw - tmpfs tmpfs rw
31 30 0:45 /sub /var/lib/data rw - btrfs /dev/vdb rw
`
	for _, test := range []struct{ dir, device, want string }{
		{"/srv/x", "254:0", "ext4"},
		{"/var/x", "0:30", "tmpfs"},
		{"/var/lib/data/x", "0:99", "btrfs"}, // a subvolume's own device
		{"/var/lib/database", "0:98", "tmpfs"},
		{"/", "9:9", "ext4"},
	} {
		if got := fileSystemIn(mountinfo, test.dir, test.device); got != test.want {
			t.Errorf("%s on %s: %s, want %s", test.dir, test.device, got, test.want)
		}
	}
	if got := fileSystemIn("", "/x", "1:1"); got != "unknown" {
		t.Error(got)
	}
}

func TestPropagationWordsAreChecked(t *testing.T) {
	if _, _, err := propagation("rshard"); err == nil || !strings.Contains(err.Error(), `"rshard"`) {
		t.Errorf("%v", err)
	}
	if attr, recursive, err := propagation(""); attr != unix.MS_PRIVATE || !recursive || err != nil {
		t.Error(attr, recursive, err)
	}
}

// layers makes n folders, each with a file of its number and one that all
// have, the topmost first.
func layers(t *testing.T, n int) (folders []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := range n {
		// Characters that mean something in mount options.
		folder := filepath.Join(dir, fmt.Sprintf("layer:%d,a=b\\c", i))
		must(t, os.Mkdir(folder, 0o755))
		must(t, os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), nil, 0o644))
		must(t, os.WriteFile(filepath.Join(folder, "top"), []byte(fmt.Sprint(i)), 0o644))
		folders = append(folders, folder)
	}
	must(t, os.Mkdir(filepath.Join(dir, "upper"), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "work"), 0o755))
	return folders, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir *os.File, name string) string {
	t.Helper()
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	buf := make([]byte, 100)
	n, err := unix.Read(fd, buf)
	must(t, err)
	return string(buf[:n])
}

func TestAnOverlayIsMadeInEveryWay(t *testing.T) {
	kerneltest.NeedRoot(t)
	for _, test := range []struct {
		name   string
		count  int
		method method
	}{
		{"one layer", 1, chooseMethod},
		{"a few in one string", 8, oneString},
		{"one by one", 8, layerByLayer},
		{"by mount(2) in a private namespace", 8, mountInPrivate},
		{"more than fit in one string", 60, chooseMethod},
		{"more than fit in one string, by mount(2)", 60, mountInPrivate},
		{"as many as docker allows", 127, chooseMethod},
		{"as many as docker allows, by mount(2)", 127, mountInPrivate},
	} {
		t.Run(test.name, func(t *testing.T) {
			folders, dir := layers(t, test.count)
			if test.method == layerByLayer {
				kerneltest.NeedFeature(t, "overlay lowerdir+ (Linux 6.7)", appends(t))
			}
			before := mountinfo(t)
			mount, err := Overlay{Layers: folders, Upper: dir + "/upper", Work: dir + "/work"}.mount(test.method)
			must(t, err)
			defer mount.Close()
			for i := range test.count {
				if got := read(t, mount, fmt.Sprint(i)); got != "" {
					t.Errorf("layer %d: %s", i, got)
				}
			}
			if got := read(t, mount, "top"); got != "0" {
				t.Errorf("the topmost layer is %s", got)
			}
			must(t, unix.Mkdirat(int(mount.Fd()), "made", 0o755))
			if _, err := os.Stat(dir + "/upper/made"); err != nil {
				t.Error(err)
			}
			if mountinfo(t) != before {
				t.Error("the host's mount table has changed")
			}
		})
	}
}

// appends asks the kernel itself; 6.1 takes the option, and refuses to mount.
func appends(t *testing.T) bool {
	t.Helper()
	folders, _ := layers(t, 2)
	mount, err := Overlay{Layers: folders}.mount(layerByLayer)
	if err != nil {
		return false
	}
	mount.Close()
	return true
}

func mountinfo(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	return string(data)
}

func TestAnOverlayThatCannotBeMadeSaysWhy(t *testing.T) {
	kerneltest.NeedRoot(t)
	folders, dir := layers(t, 2)
	for _, test := range []struct {
		name, want string
		overlay    Overlay
	}{
		{"no layers", "cannot mount overlay: no layers", Overlay{}},
		{"a missing layer", "cannot open layer folder /nonesuch: no such file", Overlay{Layers: []string{folders[0], "/nonesuch"}}},
		{"a missing upper folder", "cannot open upper folder " + dir + "/none: no such file", Overlay{Layers: folders, Upper: dir + "/none", Work: dir + "/work"}},
		{"an upper folder on /proc", "cannot mount overlay of 2 layers: ", Overlay{Layers: folders, Upper: "/proc/self", Work: dir + "/work"}},
	} {
		mount, err := Mount(test.overlay)
		if err == nil {
			mount.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	mount, err := Mount(Overlay{Layers: folders})
	must(t, err)
	defer mount.Close()
	if err := unix.Mkdirat(int(mount.Fd()), "x", 0o755); !errors.Is(err, unix.EROFS) {
		t.Errorf("without an upper folder: %v", err)
	}
}

func TestAStateFolderThatCannotBeUsedIsNamedWithItsFileSystem(t *testing.T) {
	kerneltest.NeedRoot(t)
	dir := t.TempDir()
	must(t, CheckUpper(dir))
	if entries, err := os.ReadDir(dir); len(entries) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// An overlay itself cannot be the upper folder of one.
	folders, below := layers(t, 1)
	mount, err := Mount(Overlay{Layers: folders, Upper: below + "/upper", Work: below + "/work"})
	must(t, err)
	defer mount.Close()
	place := filepath.Join(dir, "state")
	must(t, os.Mkdir(place, 0o755))
	must(t, unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, place, unix.MOVE_MOUNT_F_EMPTY_PATH))
	defer unix.Unmount(place, unix.MNT_DETACH)
	err = CheckUpper(place)
	if !errors.Is(err, ErrUpper) || !strings.Contains(err.Error(), "(overlay)") || !strings.Contains(err.Error(), "--state-dir") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestABindIsACloneWithItsAttributes(t *testing.T) {
	kerneltest.NeedRoot(t)
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/volume/sub", 0o755))
	must(t, os.WriteFile(dir+"/volume/sub/file", []byte("x"), 0o644))
	must(t, os.Symlink("volume", dir+"/link"))
	must(t, os.Symlink("/", dir+"/volume/out"))
	for _, test := range []struct {
		name   string
		source Source
		file   string // what is read below it
		err    string
	}{
		{"a folder by a link", Source{Path: dir + "/link"}, "sub/file", ""},
		{"read-only", Source{Path: dir + "/volume", ReadOnly: true}, "sub/file", ""},
		{"a subpath", Source{Path: dir + "/volume", Subpath: "sub"}, "file", ""},
		{"a subpath that leads out stays inside", Source{Path: dir + "/volume", Subpath: "out/sub"}, "file", ""},
		{"a subpath of dots stays inside", Source{Path: dir + "/volume", Subpath: "../../sub"}, "file", ""},
		{"slaves", Source{Path: dir + "/volume", Propagation: "rslave"}, "sub/file", ""},
		{"a relative path", Source{Path: "volume"}, "", "cannot open volume: the path of a bind must be absolute"},
		{"what does not exist", Source{Path: dir + "/none"}, "", "cannot open " + dir + "/none: no such file"},
	} {
		mount, err := Bind(test.source)
		if test.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.err) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		must(t, err)
		if got := read(t, mount, test.file); got != "x" {
			t.Errorf("%s: %s", test.name, got)
		}
		err = unix.Mkdirat(int(mount.Fd()), "made", 0o755)
		if errors.Is(err, unix.EROFS) != test.source.ReadOnly {
			t.Errorf("%s: mkdir: %v", test.name, err)
		}
		_ = unix.Unlinkat(int(mount.Fd()), "made", unix.AT_REMOVEDIR)
		mount.Close()
	}
}

func TestDevicesOfTheHost(t *testing.T) {
	kerneltest.NeedRoot(t)
	got, err := Devices("/dev/null", "/dev/mine")
	if err != nil || len(got) != 1 || got[0].Path != "/dev/mine" || got[0].Type != "c" || got[0].Major != 1 || got[0].Minor != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	all, err := HostDevices()
	if err != nil || len(all) < 5 {
		t.Errorf("%d devices, %v", len(all), err)
	}
	for _, d := range all {
		if strings.HasPrefix(d.Path, "/dev/pts/") {
			t.Errorf("a pty of the host: %+v", d)
		}
	}
	for source, want := range map[string]string{
		"/etc/passwd":   "it is not a device node",
		"/dev/nonesuch": "cannot find device /dev/nonesuch",
	} {
		if _, err := Devices(source, "/dev/x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err := Devices("/dev/null", "/etc/x"); err == nil || !strings.Contains(err.Error(), "must be below /dev") {
		t.Errorf("%v", err)
	}
}
