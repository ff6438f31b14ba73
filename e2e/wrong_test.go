package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// What cannot be done on this very host, as it is told: the golden texts are
// testdata/wrong. Words before the command are flags; @PORT@ is a port that
// somebody has, @FREE@ one where nobody listens.
var cannot = []struct{ name, compose, line string }{
	{"port that another program has", `services: {a: {image: busybox, init: true, command: sleep 1000, ports: ["127.0.0.1:@PORT@:80"]}}`, "up -d"},
	{"registry down", `services: {a: {image: "127.0.0.1:@FREE@/app:1"}}`, "pull"},
	{"command not in the image", `services: {a: {image: busybox, command: [nosuch, now]}}`, "up -d"},
	{"command that is a folder", `services: {a: {image: busybox, command: [/etc]}}`, "up -d"},
	{"bind source missing", `services: {a: {image: busybox, command: "true", volumes: [{type: bind, source: ./nope, target: /x, bind: {create_host_path: false}}]}}`, "up -d"},
	{"dependency that fails", "services:\n  a: {image: busybox, command: 'sh -c \"echo no database; exit 3\"'}\n  b: {image: busybox, command: 'true', depends_on: {a: {condition: service_completed_successfully}}}", "up -d"},
	{"state folder that is a file", `services: {a: {image: busybox}}`, "--state-dir /etc/passwd up -d"},
	{"image tag in upper case", plainService, "image tag busybox Shop/Web"},
	{"image tag of no image", plainService, "image tag nosuch shop/web"},
	{"image inspect of no image", plainService, "image inspect nosuch"},
	{"image rm of no image", plainService, "image rm nosuch"},
	{"image save of no image", plainService, "image save -o /dev/null nosuch"},
	{"image import of no archive", plainService, "image import compose.yaml shop"},
	{"image load of no archive", plainService, "image load -i compose.yaml"},
	{"watch without rules", plainService, "watch"},
	{"watch status of what is not watched", plainService, "watch --status"},
	{"watch stop of what is not watched", plainService, "watch --stop"},
	{"user that the image lacks", `services: {a: {image: busybox, command: "true", user: nobodyhere}}`, "up -d"},
	{"working folder that is a file", `services: {a: {image: busybox, command: "true", working_dir: /bin/busybox}}`, "up -d"},
	{"device that is not there", `services: {a: {image: busybox, command: "true", devices: ["/dev/nosuch:/dev/x"]}}`, "up -d"},
	{"address that the host lacks", `services: {a: {image: busybox, command: "true", ports: ["203.0.113.9:8080:80"]}}`, "up -d"},
	{"build with an unknown instruction", `services: {a: {build: {context: ., dockerfile_inline: "FROM busybox\nRUNN true"}}}`, "build -q"},
	{"build of a missing file", `services: {a: {build: {context: ., dockerfile_inline: "FROM busybox\nCOPY nosuch /"}}}`, "build -q"},
	{"state folder in proc", `services: {a: {image: busybox}}`, "--state-dir /proc/mycompose up -d"},
}

const plainService = `services: {a: {image: busybox, command: "true"}}`

var (
	// steady are lines of progress that come in any order.
	steady     = regexp.MustCompile(`(?m)^ (Container|Network|Image) [^ ]+ [A-Z][a-z]+ \n`)
	takers     = regexp.MustCompile(`taken by [^ ]+`)
	pids       = regexp.MustCompile(`(pid|process) [0-9]+`)
	loopback   = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	freeOnes   = regexp.MustCompile(`[0-9]{4,5} is free`)
	takenPorts = regexp.MustCompile(`port [0-9]{4,5}`)
	digestOf   = regexp.MustCompile(`[0-9a-f]{64}`)
)

func TestWhatThisHostCannotDoIsToldInOneWay(t *testing.T) {
	h := newHost(t)
	h.busybox()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	free := fmt.Sprint(freePort(t))
	normal := func(text, dir string) string {
		text = strings.NewReplacer(dir, "/app", h.state, "/state", taken, "PORT", free, "FREE").Replace(text)
		text = steady.ReplaceAllString(text, "")
		text = takers.ReplaceAllString(text, "taken by PROGRAM")
		text = pids.ReplaceAllString(text, "$1 N")
		text = loopback.ReplaceAllString(text, "127.0.0.1:N")
		text = freeOnes.ReplaceAllString(text, "N is free")
		text = takenPorts.ReplaceAllString(text, "port N")
		return digestOf.ReplaceAllString(text, "DIGEST")
	}
	for _, c := range cannot {
		t.Run(c.name, func(t *testing.T) {
			dir := h.project("app", map[string]string{"compose.yaml": strings.NewReplacer("@PORT@", taken, "@FREE@", free).Replace(c.compose) + "\n"})
			r := h.run(dir, strings.Fields(c.line)...)
			if r.code == 0 {
				t.Error("it succeeded")
			}
			goldenWrong(t, c.name, c.line, normal(r.stdout, dir), normal(r.stderr, dir), r.code)
			if r := h.run(dir, "down", "-v", "-t", "1"); r.code != 0 {
				t.Errorf("down: %s", r.stderr)
			}
		})
	}
}

// A user who is not root is told so, and a folder of root's stays shut.
func TestAUserWithoutRightsIsToldSo(t *testing.T) {
	h := newHost(t)
	dir := tempDir(t)
	program := filepath.Join(dir, "mycompose")
	data, err := os.ReadFile(h.binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ps -a", "doctor"} {
		cmd := exec.Command(program, strings.Fields("-p shop "+line)...)
		cmd.Dir, cmd.Env = "/", append(h.env, "HOME=/nonexistent")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		text := out.String()
		if line == "doctor" { // the rest is this host's
			text = ""
			for l := range strings.Lines(out.String()) {
				if strings.Contains(l, " rights ") {
					text = strings.Join(strings.Fields(l), " ") + "\n"
				}
			}
		}
		clean := strings.NewReplacer(h.state, "/state", "/run/mycompose/"+h.tag, "/run/mycompose/TAG", "mkdir /run/mycompose:", "mkdir /run/mycompose/TAG:")
		goldenWrong(t, "no rights for "+line, line, clean.Replace(text), clean.Replace(errs.String()), cmd.ProcessState.ExitCode())
	}
}

func goldenWrong(t *testing.T, name, line, stdout, stderr string, code int) {
	t.Helper()
	text := fmt.Sprintf("$ mycompose %s\nexit code %d\n", line, code)
	if stdout != "" {
		text += "-- standard output\n" + stdout
	}
	text += "-- standard error\n" + stderr
	path := filepath.Join("testdata", "wrong", strings.ReplaceAll(name, " ", "-")+".txt")
	if *updateScreens {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs.\ngot:\n%s\nwant:\n%s", path, text, want)
	}
}
