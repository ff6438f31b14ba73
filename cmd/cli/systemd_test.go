package cli

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/folder"
)

func TestTheUnitsText(t *testing.T) {
	u := unit{
		name: "mycompose-0123abcd.service", program: "/opt/my compose/mycompose",
		place: folder.Place{State: "/srv/100% ours", RunRoot: "/run/other", Tag: "0123abcd"},
	}
	const want = `[Unit]
Description=mycompose containers (/srv/100%% ours)
Wants=network-online.target
After=network-online.target local-fs.target
RequiresMountsFor="/srv/100%% ours"

[Service]
# The main process is the keeper, which starts the daemon.
Type=notify
Environment="MYCOMPOSE_STATE_DIR=/srv/100%% ours"
Environment=MYCOMPOSE_RUN_ROOT=/run/other
ExecStart="/opt/my compose/mycompose" system run
# A stop ends keeper and daemon; containers run on and are found again.
KillMode=process
Delegate=yes
Restart=on-failure
RestartSec=1
OOMPolicy=continue
LimitNOFILE=1048576
TasksMax=infinity
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
`
	if got := u.text(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestAUnitIsNamedByItsStateFolder(t *testing.T) {
	for state, want := range map[string]string{folder.DefaultStateDir: "mycompose.service", "/srv/x": "mycompose-0123abcd.service"} {
		s := &session{place: folder.Place{State: state, Tag: "0123abcd"}}
		u, err := s.unit()
		if err != nil || u.name != want || u.path() != "/etc/systemd/system/"+want {
			t.Errorf("of %s: %s at %s, %v", state, u.name, u.path(), err)
		}
	}
}

func TestWithoutSystemdEnablePrintsTheUnitAndFails(t *testing.T) {
	if systemdRuns() {
		t.Skip("needs a host without systemd as pid 1: the virtual machine's test is for one with it")
	}
	h := newHost(t)
	r := h.run("system", "enable")
	if r.code == 0 || !strings.Contains(r.err, "systemd does not run here") {
		t.Errorf("enable: %d, %s", r.code, r.err)
	}
	for _, part := range []string{"Type=notify\n", "KillMode=process\n", "Environment=MYCOMPOSE_STATE_DIR=" + h.place.State + "\n", " system run\n"} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is not in:\n%s", part, r.out)
		}
	}
	if r := h.run("system", "disable"); r.code == 0 || !strings.Contains(r.err, "systemd does not run here") {
		t.Errorf("disable: %d, %s", r.code, r.err)
	}
	r = h.run("system", "status")
	if r.code != 0 || !strings.Contains(r.out, "not running") || !strings.Contains(r.out, "systemd does not run here") {
		t.Errorf("status: %+v", r)
	}
	h.run("ls")
	if r = h.run("system", "status"); !strings.Contains(r.out, "running, pid 41") || !strings.Contains(r.out, "running, pid 42 (1 started)") {
		t.Errorf("status with a daemon: %+v", r)
	}
}

func TestReadyReachesTheServiceManager(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := notifyReady(path); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	n, err := conn.Read(buffer)
	if err != nil || string(buffer[:n]) != "READY=1" {
		t.Errorf("got %q, %v", buffer[:n], err)
	}
	if err := notifyReady(""); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}
