package e2e

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/wire"
)

// asNobody runs f on a thread of user and group 65534, which is thrown away.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		const nobody = 65534
		_, _, e1 := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		_, _, e2 := unix.RawSyscall(unix.SYS_SETRESGID, nobody, nobody, nobody)
		_, _, e3 := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody)
		if e1|e2|e3 == 0 {
			f()
		}
	}()
	<-done
}

const secretive = `
services:
  web:
    image: busybox
    command: ["sh", "-c", "cat /run/secrets/token > /data/copy; touch /data/suid; chmod 4755 /data/suid; sleep 1000"]
    init: true
    stop_grace_period: 0s
    volumes: ["data:/data"]
    secrets: [token]
volumes: {data: {}}
secrets: {token: {file: ./token.txt}}
`

func secretProject(h *host) string {
	h.t.Helper()
	h.busybox()
	dir := h.project("secretive", map[string]string{"compose.yaml": secretive, "token.txt": "a-wholly-secret-word\n"})
	h.must(dir, "up", "-d")
	h.eventually(func() error {
		info, err := os.Stat(filepath.Join(h.state, "volumes/secretive_data/_data/suid"))
		if err == nil && info.Mode()&fs.ModeSetuid == 0 {
			err = fmt.Errorf("the setuid file is %v as yet", info.Mode())
		}
		return err
	})
	return dir
}

// runFolder is where the sockets of a host are.
func (h *host) runFolder() string { return filepath.Join("/run/mycompose", h.tag) }

func TestSocketsAreForTheirOwnerOnly(t *testing.T) {
	h := newHost(t)
	secretProject(h)
	var sockets []string
	err := filepath.WalkDir(h.runFolder(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && info.Mode().Perm() != 0o700, entry.Type() == fs.ModeSocket && info.Mode().Perm() != 0o600:
			t.Errorf("%s is %v", path, info.Mode())
		}
		if entry.Type() == fs.ModeSocket {
			sockets = append(sockets, path)
		}
		return nil
	})
	if err != nil || len(sockets) != 3 { // of the keeper, the daemon, a monitor
		t.Fatalf("sockets are %v, %v", sockets, err)
	}
	for _, path := range sockets {
		asNobody(func() {
			if c, err := wire.Dial(path); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s: another user connects, %v, %v", path, c, err)
			}
		})
	}
	raw, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, "@") && (strings.Contains(line, h.tag) || strings.Contains(line, "mycompose")) {
			t.Errorf("a socket that every namespace reaches: %s", line)
		}
	}
	checkPeers(h, sockets)
}

// checkPeers lets another user reach the sockets: who connects is asked too.
func checkPeers(h *host, sockets []string) {
	h.t.Helper()
	open := func(folder, socket fs.FileMode) {
		for _, path := range sockets {
			for dir := filepath.Dir(path); strings.HasPrefix(dir, h.runFolder()); dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, folder); err != nil {
					h.t.Error(err)
				}
			}
			if err := os.Chmod(path, socket); err != nil {
				h.t.Error(err)
			}
		}
	}
	open(0o755, 0o666)
	defer open(0o700, 0o600)
	for _, path := range sockets {
		tried := false
		asNobody(func() {
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				h.t.Errorf("%s: %v", path, err)
				return
			}
			defer conn.Close()
			tried = true
			_ = conn.SetDeadline(time.Now().Add(deadline))
			_, _ = io.WriteString(conn, "GET /v1/info HTTP/1.1\r\nHost: x\r\n\r\n")
			if got, err := io.ReadAll(conn); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				h.t.Errorf("%s answers another user: %q, %v", path, got, err)
			}
		})
		if !tried {
			h.t.Errorf("%s was not tried", path)
		}
	}
}

func TestOtherUsersReachNothingOfTheState(t *testing.T) {
	h := newHost(t)
	secretProject(h)
	// Folders may be entered, not listed, down to those that hold something.
	passable := map[string]bool{".": true, "volumes": true, "containers": true, "layers": true}
	seen, tried := 0, false
	var all []string
	for _, root := range []string{h.state, h.runFolder()} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	asNobody(func() {
		tried = true
		for _, path := range all {
			var st unix.Stat_t
			if unix.Stat(path, &st) != nil {
				continue
			}
			seen++
			relative, _ := filepath.Rel(h.state, path)
			folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if folder && !passable[relative] && unix.Access(path, unix.X_OK) == nil ||
				!folder && unix.Access(path, unix.R_OK) == nil || !folder && unix.Access(path, unix.X_OK) == nil ||
				unix.Access(path, unix.W_OK) == nil {
				t.Errorf("another user reaches %s (%o)", path, st.Mode)
			}
		}
	})
	if !tried || seen == 0 || len(all) < 30 {
		t.Errorf("looked at %d of %d paths, so nothing was tried", seen, len(all))
	}
	info, err := os.Stat(filepath.Join(h.state, "volumes/secretive_data/_data/suid"))
	if err != nil || info.Mode()&fs.ModeSetuid == 0 {
		t.Errorf("the setuid file is %v, %v", info, err)
	}
}

// A secret's text stands in the 0600 file that it is mounted from and in the
// container, and nowhere else: no record, log, argument or environment.
func TestASecretStandsNowhereElse(t *testing.T) {
	const word = "a-wholly-secret-word"
	h := newHost(t)
	dir := secretProject(h)
	holders := 0
	for _, root := range []string{h.state, h.runFolder()} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(raw), word) {
				return err
			}
			holders++
			info, err := entry.Info()
			relative, _ := filepath.Rel(h.state, path)
			content := strings.HasPrefix(relative, "contents/") && err == nil && info.Mode().Perm() == 0o600
			if !content && relative != "volumes/secretive_data/_data/copy" {
				t.Errorf("it stands in %s", relative)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if holders != 2 {
		t.Errorf("%d files hold it, want that of the secret and the container's copy", holders)
	}
	shown := h.must(dir, "config") + h.must(dir, "ps", "-a", "--format", "json") + h.must(dir, "logs") +
		h.run(dir, "up", "-d", "--dry-run").stderr
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		for _, file := range []string{"cmdline", "environ"} {
			raw, _ := os.ReadFile(filepath.Join(process, file))
			shown += string(raw)
		}
	}
	if strings.Contains(shown, word) {
		t.Error("it is shown by a command, an argument list or an environment")
	}
	if got := h.must(dir, "exec", "-T", "web", "cat", "/run/secrets/token"); got != word+"\n" {
		t.Errorf("the container has %q", got)
	}
}

// retar copies a root file system without some entries and with others.
func retar(t testing.TB, from string, change map[string]*tar.Header, content map[string]string) string {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(tempDir(t), "changed.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, w := tar.NewReader(in), tar.NewWriter(out)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = r
		if changed, ok := change[h.Name]; ok {
			changed.Name, changed.Size, h = h.Name, int64(len(content[h.Name])), changed
			body = strings.NewReader(content[h.Name])
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
