package spawn_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/cgroup"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/rootfs"
	"github.com/mycompose/mycompose/engine/spawn"
	"github.com/mycompose/mycompose/engine/stage"
)

func (c *container) bind(source, target string, readOnly bool) {
	c.Helper()
	f, err := rootfs.Bind(rootfs.Source{Path: source, ReadOnly: readOnly})
	c.must(err)
	c.recipe.Mounts = append(c.recipe.Mounts, recipe.Mount{Kind: recipe.MountTree, Target: target, File: c.add(f), ReadOnly: readOnly})
}

func (c *container) addContent(target, text string, mode uint32, readOnly bool) {
	c.recipe.Mounts = append(c.recipe.Mounts, recipe.Mount{
		Kind: recipe.MountContent, Target: target, ContentFile: c.content(text), Mode: mode, UID: 1000, GID: 7, ReadOnly: readOnly,
	})
}

func TestMountsOfARecipe(t *testing.T) {
	b := newBox(t)
	shared := filepath.Join(b.dir, "shared")
	b.must(os.MkdirAll(filepath.Join(shared, "below"), 0o755))
	b.must(os.WriteFile(filepath.Join(shared, "file"), []byte("from the host\n"), 0o644))
	for _, test := range []struct {
		name, script, want string
		change             func(*container)
	}{
		{"a bind can be written to", "cat /data/file; echo inside > /data/written", "from the host\n", func(c *container) { c.bind(shared, "/data", false) }},
		{"what was written is on the host", "cat /data/written", "inside\n", func(c *container) { c.bind(shared, "/data", false) }},
		{"a read-only bind cannot", "echo x 2>&1 > /data/x; mount -o remount,rw /data 2>&1; touch /data/x 2>&1",
			"sh: can't create /data/x: Read-only file system\nmount: permission denied (are you root?)\ntouch: /data/x: Read-only file system\n",
			func(c *container) { c.bind(shared, "/data", true) }},
		{"a file on a file that is made, with its folders", "cat /a/b/c", "from the host\n", func(c *container) { c.bind(shared+"/file", "/a/b/c", true) }},
		{"one mount below another", "ls /data; cat /data/below/inner", "below\nfile\nwritten\nfrom the host\n", func(c *container) {
			c.bind(shared, "/data", false)
			c.bind(shared+"/file", "/data/below/inner", false)
		}},
		{"a tmpfs with size and mode", "stat -c %a:%u /t; df -k /t | awk 'NR==2{print $2}'; grep -c ' /t .*noexec' /proc/self/mountinfo", "750:3\n1024\n1\n", func(c *container) {
			c.recipe.Mounts = append(c.recipe.Mounts, recipe.Mount{Kind: recipe.MountTmpfs, Target: "/t", Options: []string{"size=1048576", "mode=750", "uid=3", "noexec", "nosuid"}})
		}},
		{"content with owner and mode", "cat /run/secret; stat -c %a:%u:%g /run/secret; echo x >> /run/secret", "s3cret440:1000:7\nsh: can't create /run/secret: Read-only file system\n", func(c *container) {
			c.addContent("/run/secret", "s3cret", 0o440, true)
		}},
		{"content that may be changed", "echo ::1 x >> /etc/hosts; cat /etc/hosts", "127.0.0.1 localhost\n::1 x\n", func(c *container) {
			c.addContent("/etc/hosts", "127.0.0.1 localhost\n", 0o644, false)
		}},
		{"a read-only root, with mounts that are not", "touch /x 2>&1; touch /data/y /dev/shm/y /dev/y && echo ok", "touch: /x: Read-only file system\nok\n", func(c *container) {
			c.recipe.ReadonlyRoot = true
			c.bind(shared, "/data", false)
		}},
		{"the size of /dev/shm", "df -k /dev/shm | awk 'NR==2{print $2}'", "2048\n", func(c *container) { c.recipe.ShmSize = 2 << 20 }},
		{"a device", "stat -c %t:%T:%a /dev/snd/mine", "1:3:640\n", func(c *container) {
			c.recipe.Devices = []recipe.Device{{Path: "/dev/snd/mine", Type: "c", Major: 1, Minor: 3, Mode: 0o640}}
		}},
		{"what lies over the image's file hides it", "cat /etc/passwd", "hidden\n", func(c *container) { c.addContent("/etc/passwd", "hidden\n", 0o644, true) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.TB = t
			out, _ := b.sh(test.script+" 2>&1", test.change)
			if out != test.want {
				t.Errorf("%s:\n%s\nwant:\n%s", test.script, out, test.want)
			}
		})
	}
}

// hostile is a layer whose symbolic links lead to a folder of the host.
func TestLinksInTheImageLeadNoMountOutside(t *testing.T) {
	for _, test := range []struct {
		name, link string // link of the image, made to lead to the victim
		script     string
		refused    string // the error, if the start is refused
	}{
		{"/etc/hosts by an absolute link", "etc/hosts", "cat /etc/hosts", ""},
		{"/etc by an absolute link", "etc", "cat /etc/hosts", ""},
		{"/proc is a link", "proc", "", "cannot mount /proc: it is not a folder in the image"},
		{"/dev is a link", "dev", "", "cannot mount /dev: it is not a folder in the image"},
		{"/sys is a link", "sys", "", "cannot mount /sys: it is not a folder in the image"},
	} {
		for _, way := range []string{"absolute", "dots", "proc"} {
			t.Run(test.name+", "+way, func(t *testing.T) {
				b := newBox(t)
				victim := filepath.Join(b.dir, "victim")
				b.must(os.MkdirAll(victim, 0o755))
				target := map[string]string{
					"absolute": victim,
					"dots":     strings.Repeat("../", 30) + victim[1:],
					"proc":     "/proc/1/root" + victim,
				}[way]
				if test.link == "etc/hosts" {
					target += "/created"
				}
				path := filepath.Join(b.layer, test.link)
				b.must(os.RemoveAll(path))
				b.must(os.Symlink(target, path))
				c := b.prepare("sh", "-c", test.script)
				c.addContent("/etc/hosts", "inside\n", 0o644, false)
				err := c.start()
				if test.refused != "" {
					var failure *spawn.Error
					if !errors.As(err, &failure) || failure.Text != test.refused {
						t.Errorf("error %v, want %s", err, test.refused)
					}
				} else if err != nil && way != "proc" {
					// Inside the image's own /proc there is nothing to follow.
					t.Errorf("cannot start: %v", err)
				} else if c.wait(); err == nil && c.out.String() != "inside\n" {
					t.Errorf("got %q", c.out)
				}
				entries, err := os.ReadDir(victim)
				if err != nil || len(entries) > 0 {
					t.Errorf("the host's folder holds %v, %v", entries, err)
				}
			})
		}
	}
}

func TestTheImagesDeviceNodesAreNotUsed(t *testing.T) {
	b := newBox(t)
	b.must(os.MkdirAll(filepath.Join(b.layer, "dev"), 0o755))
	b.must(os.Symlink("/proc/sys/kernel/core_pattern", filepath.Join(b.layer, "dev/null")))
	out, _ := b.sh("stat -c %F:%t:%T /dev/null /proc/interrupts; echo x > /proc/interrupts")
	if want := "character special file:1:3\ncharacter special file:1:3\n"; out != want {
		t.Errorf("got %s, want %s", out, want)
	}
}

func TestProcCannotBeMountedOver(t *testing.T) {
	b := newBox(t)
	shared := filepath.Join(b.dir, "shared")
	b.must(os.MkdirAll(shared, 0o755))
	b.must(os.Symlink("/proc/self", filepath.Join(b.layer, "disguise")))
	for _, target := range []string{"/proc", "/proc/self/attr", "/proc/sys/kernel", "/disguise", "/disguise/attr", "/x/../proc"} {
		c := b.prepare("true")
		c.bind(shared, target, false)
		if err := c.start(); err == nil || !strings.Contains(err.Error(), "cannot mount on "+target) {
			t.Errorf("%s: error %v", target, err)
		}
	}
	c := b.prepare("cat", "/proc/uptime")
	c.addContent("/proc/uptime", "1 1\n", 0o444, true)
	if out, _ := c.run(); out != "1 1\n" {
		t.Errorf("/proc/uptime, which may be replaced: %q", out)
	}
}

func TestTheWorkingDirectoryIsInsideOrTheStartFails(t *testing.T) {
	b := newBox(t)
	for n := 3; n <= 60; n++ {
		name := "/proc/self/fd/" + string(rune('0'+n/10)) + string(rune('0'+n%10))
		if n < 10 {
			name = "/proc/self/fd/" + string(rune('0'+n))
		}
		link := filepath.Join(b.layer, "link")
		_ = os.Remove(link)
		b.must(os.Symlink(name, link))
		cwd := name
		if n%2 == 0 {
			cwd = "/link"
		}
		c := b.prepare("sh", "-c", "readlink /proc/1/cwd; ls -d /proc/self/cwd/etc")
		c.recipe.Process.Cwd = cwd
		err := c.start()
		if err != nil {
			if !strings.Contains(err.Error(), "working directory") {
				t.Errorf("%s: error %v", cwd, err)
			}
			c.remove()
			continue
		}
		if c.wait(); !strings.HasPrefix(c.out.String(), "/") {
			t.Errorf("%s: %s", cwd, c.out)
		}
		c.remove()
	}
}

// A volume is shared with somebody who swaps a folder and a symbolic link in
// it, while starts make mount points below.
func TestMountsBelowASwappedFolderStayInside(t *testing.T) {
	b := newBox(t)
	volume, victim := filepath.Join(b.dir, "volume"), filepath.Join(b.dir, "victim")
	b.must(os.MkdirAll(filepath.Join(volume, "d"), 0o755))
	b.must(os.MkdirAll(victim, 0o755))
	b.must(os.Symlink(victim, filepath.Join(volume, "l")))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, volume+"/d", unix.AT_FDCWD, volume+"/l", unix.RENAME_EXCHANGE)
			}
		}
	}()
	started := 0
	for round := range 60 {
		c := b.prepare("true")
		c.bind(volume, "/volume", false)
		name := "/volume/d/sub" + strconv.Itoa(round)
		c.addContent(name+"/file", "inside", 0o644, true)
		c.recipe.Mounts = append(c.recipe.Mounts, recipe.Mount{Kind: recipe.MountTmpfs, Target: name + "/tmp"})
		if err := c.start(); err == nil {
			started++
		}
		c.remove()
		entries, err := os.ReadDir(victim)
		if err != nil || len(entries) > 0 {
			t.Fatalf("round %d: the host's folder holds %v, %v", round, entries, err)
		}
	}
	close(stop)
	<-stopped
	if started == 0 {
		t.Error("no start has succeeded, so nothing was tried")
	}
}

func TestWhereNodesCannotBeMadeTheHostsAreBound(t *testing.T) {
	b := newBox(t)
	b.devices = slices.DeleteFunc(cgroup.DefaultDevices(), func(r cgroup.DeviceRule) bool { return r.Major == cgroup.Any })
	for i := range b.devices {
		b.devices[i].Access = "rw"
	}
	out, _ := b.sh("stat -c %F:%t:%T /dev/null /dev/urandom; echo x > /dev/null && head -c 3 /dev/urandom | wc -c; mknod /tmp/null c 1 3 2>&1; grep -c ' /dev/[nzfrut]' /proc/self/mountinfo")
	want := "character special file:1:3\ncharacter special file:1:9\n3\nmknod: /tmp/null: Operation not permitted\n"
	if stage.Direct {
		want += "0\n" // made outside of the container's cgroup
	} else {
		want += "6\n"
	}
	if out != want {
		t.Errorf("%s\nwant %s", out, want)
	}
}
