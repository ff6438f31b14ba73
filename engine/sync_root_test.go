package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// source is a folder of this host with files to be put into containers.
type source struct {
	t   *testing.T
	dir string
}

func newSource(t *testing.T) source { return source{t, t.TempDir()} }

func (s source) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		s.t.Fatal(err)
	}
}

func (s source) change(name, target string) spec.FileChange {
	return spec.FileChange{Target: target, Root: s.dir, Path: name}
}

func (r *rig) sync(id string, changes ...spec.FileChange) []spec.FileResult {
	r.t.Helper()
	results, err := r.engine.SyncFiles(r.t.Context(), id, changes)
	if err != nil {
		r.t.Fatal(err)
	}
	return results
}

// synced fails unless all changes changed something.
func (r *rig) synced(id string, changes ...spec.FileChange) {
	r.t.Helper()
	for i, result := range r.sync(id, changes...) {
		if result != (spec.FileResult{Changed: true}) {
			r.t.Errorf("%s: %+v", changes[i].Target, result)
		}
	}
}

// inside runs a script in the container and returns what it wrote.
func (r *rig) inside(id, script string) string {
	r.t.Helper()
	out, code := r.run(id, script)
	if code != 0 {
		r.t.Fatalf("%s: exit code %d: %s", script, code, out)
	}
	return out
}

func TestAFileIsSeenAtOnceWithOwnerModeAndTime(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	src.write("app.py", "one\n")
	at := time.Unix(1700000000, 123456789)
	if err := os.Chtimes(filepath.Join(src.dir, "app.py"), at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app.py", filepath.Join(src.dir, "link")); err != nil {
		t.Fatal(err)
	}
	b := shell("web", forever)
	b.User = "app"
	id := r.start(b)
	r.synced(id, src.change("app.py", "/srv/new/app.py"), src.change("link", "/srv/new/link"), src.change("app.py", "/data/sub/from-image"))
	got := r.inside(id, "cat /srv/new/link; stat -c '%u %g %a %Y' /srv/new/app.py /srv/new /data/sub/from-image; readlink /srv/new/link; ls -a / | grep mycompose || true")
	if want := "one\n1000 1000 640 1700000000\n1000 1000 755 "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(got, "1000 44 640 1700000000\napp.py\n") || strings.Contains(got, "mycompose") {
		t.Errorf("got %q", got)
	}
	if got := r.inside(id, "stat -c %y /srv/new/app.py"); !strings.Contains(got, ".123456789") {
		t.Errorf("time is %q", got)
	}
	same := src.change("app.py", "/srv/new/app.py")
	same.Compare = true
	if got := r.sync(id, same, src.change("gone", "/srv/x")); got[0] != (spec.FileResult{}) || got[1] != (spec.FileResult{Gone: true}) {
		t.Errorf("results %+v", got)
	}
	r.synced(id, spec.FileChange{Target: "/srv/new/link", Remove: true, Digest: "link:app.py"}, spec.FileChange{Target: "/srv/new/app.py", Remove: true})
	if got := r.sync(id, spec.FileChange{Target: "/data/sub/from-image", Remove: true, Digest: strings.Repeat("0", 64)}, spec.FileChange{Target: "/data/sub", Remove: true}); got[0].Changed || got[1].Changed {
		t.Errorf("what is not ours was removed: %+v", got)
	}
	if got := r.inside(id, "ls -a /srv/new; cat /data/sub/from-image"); got != ".\n..\none\n" {
		t.Errorf("left is %q", got)
	}
}

// Many files are put by several threads: folders keep their modes, and nothing is
// left beside them.
func TestManyFilesArriveWithTheirFolders(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	changes := []spec.FileChange{{Target: "/srv/old", Remove: true}}
	src.write("old", "old\n")
	for folder := range 4 {
		dir := fmt.Sprintf("d%d/in", folder)
		src.write(dir+"/0", "0\n")
		if err := os.Chmod(filepath.Join(src.dir, dir), 0o750); err != nil {
			t.Fatal(err)
		}
		changes = append(changes, src.change(dir, "/srv/"+dir))
		for i := range 50 {
			name := fmt.Sprintf("%s/%d", dir, i)
			src.write(name, fmt.Sprintf("%d\n", i))
			changes = append(changes, src.change(name, "/srv/"+name))
		}
	}
	if err := os.Symlink("d0/in/0", filepath.Join(src.dir, "link")); err != nil {
		t.Fatal(err)
	}
	changes = append(changes, src.change("link", "/srv/link"))
	for _, readOnly := range []bool{false, true} {
		b := shell(fmt.Sprintf("web-%v", readOnly), forever)
		b.User, b.ReadOnlyRoot = "app", readOnly
		id := r.start(b)
		r.synced(id, src.change("old", "/srv/old"))
		r.synced(id, changes...)
		got := r.inside(id, "cd /srv; cat */in/* | sort -n | uniq -c | wc -l; ls -d */in/* | wc -l; stat -c '%U %a' */in | uniq -c; cat link; ls -a / /srv | grep -e sync -e old || true")
		if want := "50\n200\n      4 app 750\n0\n"; got != want {
			t.Errorf("read-only %v: got %q, want %q", readOnly, got, want)
		}
	}
}

func TestTheHolesOfAFileStayHoles(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	const size, at = 64 << 20, 32 << 20
	src.write("disk", "")
	f, err := os.OpenFile(filepath.Join(src.dir, "disk"), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("middle"), at)
	}
	if err = errors.Join(err, f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	id := r.start(shell("web", forever))
	r.synced(id, src.change("disk", "/disk"))
	got := r.inside(id, fmt.Sprintf("stat -c %%s /disk; dd if=/disk bs=1 skip=%d count=6 2>/dev/null; test $(stat -c %%b /disk) -lt 2048 && echo sparse", at))
	if want := fmt.Sprintf("%d\nmiddlesparse\n", size); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Who watches a folder in the container sees one event for each save.
func TestASaveIsOneEventInTheContainer(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	id := r.start(shell("web", "mkdir /w; echo ready; "+forever))
	r.untilReady(id)
	l, err := r.engine.life(id)
	if err != nil {
		t.Fatal(err)
	}
	l.turn.Lock()
	pid := l.held.pid
	l.turn.Unlock()
	events, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(events)
	if _, err := unix.InotifyAddWatch(events, fmt.Sprintf("/proc/%d/root/w", pid), unix.IN_ALL_EVENTS&^(unix.IN_ACCESS|unix.IN_OPEN|unix.IN_CLOSE_NOWRITE)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		src.write("f", strings.Repeat("x", i))
		r.synced(id, src.change("f", "/w/f"))
		buf := make([]byte, 4096)
		n, err := unix.Read(events, buf)
		if err != nil {
			t.Fatal(err)
		}
		if want := unix.SizeofInotifyEvent + 16; n != want || buf[4] != unix.IN_MOVED_TO {
			t.Errorf("save %d: %d bytes of events, mask %#x", i, n, buf[4])
		}
	}
}

func TestFilesGoIntoReadOnlyStoppedAndCrashingContainers(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	src.write("f", "synced\n")
	readOnly := shell("ro", forever)
	readOnly.ReadOnlyRoot = true
	id := r.start(readOnly)
	r.synced(id, src.change("f", "/etc/f"))
	if got := r.inside(id, "cat /etc/f; touch /etc/g 2>&1 || true"); !strings.HasPrefix(got, "synced\n") || !strings.Contains(got, "Read-only") {
		t.Errorf("read-only container says %q", got)
	}
	fresh := r.create(shell("fresh", "cat /etc/f; "+forever))
	r.synced(fresh, src.change("f", "/etc/f"))
	if err := r.engine.StartContainer(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	if got := r.inside(fresh, "cat /etc/f"); got != "synced\n" {
		t.Errorf("fresh container says %q", got)
	}
	crashing := shell("crash", "test -e /etc/f || exit 1; touch /ran; "+forever)
	crashing.Restart = spec.Restart{Policy: spec.RestartAlways}
	crashing.Health = &spec.Health{Test: []string{"CMD", "test", "-e", "/ran"}}
	id = r.start(crashing)
	r.until(id, "restarting", func(s spec.Status) bool { return s.Restarts > 0 })
	kerneltest.Eventually(t, patience, func() error {
		results, err := r.engine.SyncFiles(t.Context(), id, []spec.FileChange{src.change("f", "/etc/f")})
		if err == nil && results[0].Error != "" {
			err = fmt.Errorf("%s", results[0].Error)
		}
		return err
	})
	r.wait(id, spec.UntilHealthy) // a start from before the file may still be seen running
	if got := r.inside(id, "cat /etc/f"); got != "synced\n" {
		t.Errorf("crashing container says %q", got)
	}
}

func TestNothingLandsOutsideTheContainersOwnTree(t *testing.T) {
	r := newRig(t)
	src := newSource(t)
	src.write("f", "synced\n")
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "mine"), []byte("host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := shell("web", forever)
	b.Mounts = []spec.Mount{{Type: spec.MountBind, Source: host, Target: "/host"}, {Type: spec.MountBind, Source: filepath.Join(host, "mine"), Target: "/etc/mine"}}
	id := r.start(b)
	r.inside(id, "ln -s /host /into; ln -s "+host+" /out; ln -s ../../.. /up; mkdir /full; touch /full/x")
	for target, want := range map[string]string{
		"/into/f": "leads into another mount", "/host/f": "lies in the mount of", "/etc/mine": "lies in the mount of",
		"/full": "is a directory", "/": "something is mounted there", "/proc/f": "cannot change /proc/f", "/out/f": "no such file or directory",
	} {
		if got := r.sync(id, src.change("f", target))[0]; got.Changed || !strings.Contains(got.Error, want) {
			t.Errorf("%s: %+v, want %q", target, got, want)
		}
	}
	r.synced(id, src.change("f", "/up/f"), src.change("f", "/srv/../../../f2"))
	if got := r.inside(id, "cat /f /f2 /etc/mine"); got != "synced\nsynced\nhost\n" {
		t.Errorf("inside %q", got)
	}
	entries, err := os.ReadDir(host)
	if err != nil || len(entries) != 1 {
		t.Errorf("the host's folder holds %v, %v", entries, err)
	}
	for _, name := range []string{"/f", "/f2"} {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("%s is on the host", name)
		}
	}
}

func TestPartsGoToTheTreesThatTheyBelongTo(t *testing.T) {
	mounts := []spec.Mount{
		{Type: spec.MountVolume, Source: "v", Target: "/data"}, {Type: spec.MountTmpfs, Target: "/data/tmp"},
		{Type: spec.MountBind, Source: "/h", Target: "/data/host"},
	}
	var changes []spec.FileChange
	for _, target := range []string{"/a", "/b", "/data/x/y", "/data", "/data/tmp/z", "/data/host/q", "/database"} {
		changes = append(changes, spec.FileChange{Target: target})
	}
	show := func(running bool) string {
		var out []string
		for _, p := range partition(mounts, changes, running) {
			word := "root"
			if p.mount != nil {
				word = p.mount.Source
			}
			if p.result != nil {
				word = p.result.Error
				if p.result.Later {
					word = "later"
				}
			}
			for _, c := range p.changes {
				word += " " + c.Target
			}
			out = append(out, word)
		}
		return strings.Join(out, "; ")
	}
	if got, want := show(false), "root /a /b; v /x/y ; later; cannot change /data/host/q: it lies in the mount of /h on /data/host; root /database"; got != want {
		t.Errorf("idle: %s\nwant  %s", got, want)
	}
	if got, want := show(true), "root /a /b /data/x/y /data /data/tmp/z; cannot change /data/host/q: it lies in the mount of /h on /data/host; root /database"; got != want {
		t.Errorf("running: %s\nwant     %s", got, want)
	}
}
