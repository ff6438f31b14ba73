package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

func needIPv6(t *testing.T) {
	t.Helper()
	kerneltest.NeedFeature(t, "IPv6 on the loopback", haveIPv6())
}

func haveIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// proxies are the pids of this rig's proxies.
func (r *rig) proxies() []int {
	r.t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		r.t.Fatal(err)
	}
	var pids []int
	for _, dir := range dirs {
		command, _ := os.ReadFile(dir + "/cmdline")
		env, _ := os.ReadFile(dir + "/environ")
		if strings.HasPrefix(string(command), wire.RoleProxy+"\x00") && strings.Contains(string(env), "="+r.place.State+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				r.t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func (r *rig) killProxy() {
	r.t.Helper()
	pids := r.proxies()
	if len(pids) != 1 {
		r.t.Fatalf("proxies %v, want one", pids)
	}
	if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
}

// noProxy says whether nothing of the proxy is there.
func (r *rig) noProxy() {
	r.t.Helper()
	// One that another engine started is gone for us when its lock is.
	kerneltest.Eventually(r.t, patience, func() error {
		if pids := r.proxies(); len(pids) > 0 {
			return fmt.Errorf("proxies %v are there", pids)
		}
		return nil
	})
	for _, path := range []string{r.place.ProxySocket(), r.place.ProxyLock()} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			r.t.Errorf("%s: %v", path, err)
		}
	}
}

func (r *rig) answers(addr, want string) {
	r.t.Helper()
	kerneltest.Eventually(r.t, patience, func() error {
		got, err := ask(addr)
		if err == nil && got != want {
			err = fmt.Errorf("%s answered %q", addr, got)
		}
		return err
	})
}

func TestPublishedPortAnswersOnIPv6WhoeverDies(t *testing.T) {
	needIPv6(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", serve(80, "hello")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	id := r.start(b)
	number := r.status(id).Ports[0].HostPort
	six, four := fmt.Sprintf("[::1]:%d", number), fmt.Sprintf("127.0.0.1:%d", number)
	r.answers(six, "hello")
	r.answers(four, "hello")
	first := r.proxies()
	r.reopen()
	r.answers(six, "hello")
	if now := r.proxies(); len(first) != 1 || len(now) != 1 || now[0] != first[0] {
		t.Errorf("the proxy was %v, and is %v with the next engine", first, now)
	}

	r.killProxy()
	r.answers(six, "hello")

	// The engine dies, then the proxy, and the next engine finds neither.
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	r.killProxy()
	r.open()
	r.answers(six, "hello")

	// Engine and keeper die: the proxy alone has the socket.
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.keeper.Drop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.answers(six, "hello")
	r.answers(four, "hello")
	if name := socketName("tcp", netip.IPv6Unspecified(), number); r.keeper.kept[id][name] == nil {
		t.Errorf("the keeper does not keep %s again", name)
	}

	r.stop(id)
	if _, err := ask(six); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a stopped container: %v, want refused", err)
	}
	r.noProxy()
}

func TestPortsOnAnIPv6AddressAlone(t *testing.T) {
	needIPv6(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("six", serve(80, "six")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{HostIP: "::1", ContainerPort: 80, Protocol: "tcp"}}
	six := r.start(b)
	number := r.status(six).Ports[0].HostPort
	// The same port on IPv4 is another's.
	b = on(shell("four", serve(80, "four")), spec.Attachment{Network: "n"})
	b.Ports = []spec.Port{{HostIP: "127.0.0.1", HostPort: number, ContainerPort: 80, Protocol: "tcp"}}
	if errs := r.engine.Check(t.Context(), []spec.Blueprint{b}, nil, nil); len(errs) > 0 {
		t.Errorf("check says %v", errs)
	}
	four := r.start(b)
	r.answers(fmt.Sprintf("[::1]:%d", number), "six")
	r.answers(fmt.Sprintf("127.0.0.1:%d", number), "four")
	r.stop(six)
	r.noProxy()
	if err := r.engine.StartContainer(t.Context(), six); err != nil {
		t.Fatal(err)
	}
	r.answers(fmt.Sprintf("[::1]:%d", r.status(six).Ports[0].HostPort), "six")
	r.answers(fmt.Sprintf("127.0.0.1:%d", number), "four")
	r.stop(four)
}

func TestUDPOnIPv6IsAnsweredWhoeverDies(t *testing.T) {
	needIPv6(t)
	m := &matrix{rig: newRig(t), program: filepath.Join(t.TempDir(), "reach")}
	if err := kerneltest.Build(m.program, "e2e/testdata/reach", ""); err != nil {
		t.Fatal(err)
	}
	m.network(spec.Network{Name: "n"})
	b := m.asker("udp", "n")
	b.Entrypoint = m.server("udp", subjectPort).Entrypoint
	b.Ports = []spec.Port{
		{ContainerPort: subjectPort, Protocol: "udp"},
		{HostIP: "::1", ContainerPort: subjectPort, Protocol: "udp"},
	}
	id := m.start(b)
	answers := func() {
		t.Helper()
		for _, p := range m.status(id).Ports {
			for _, host := range []string{"::1", "127.0.0.1"} {
				if p.HostIP == "::1" && host != "::1" {
					continue
				}
				at := net.JoinHostPort(host, strconv.Itoa(int(p.HostPort)))
				kerneltest.Eventually(t, patience, func() error { return reach("udp", at, "subject", silence) })
			}
		}
	}
	answers()
	m.reopen()
	answers()
	m.killProxy()
	answers()
	m.stop(id)
	m.noProxy()
}

func TestAProxyThatNobodyWantsLeaves(t *testing.T) {
	r := newRig(t)
	// As an engine leaves it that dies right after it has started it.
	process, err := wire.StartProxy(r.place, r.small, r.small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.StartProxy(r.place, r.small, r.small); !errors.Is(err, wire.ErrProxyThere) {
		t.Errorf("a second one: %v", err)
	}
	waited := make(chan struct{})
	go func() { defer close(waited); _, _ = process.Wait() }()
	r.reopen()
	<-waited
	r.noProxy()
	if _, err := folder.TryLockFile(r.place.ProxyLock(), folder.Exclusive); err != nil {
		t.Error(err)
	}
	os.Remove(r.place.ProxyLock())
}

func TestManyPortsGoToTheProxyAndComeBack(t *testing.T) {
	needIPv6(t)
	r := newRig(t)
	r.network(spec.Network{Name: "n"})
	b := on(shell("web", serve(80, "many")), spec.Attachment{Network: "n"})
	for range wire.MaxFiles + 20 { // more than one message takes
		b.Ports = append(b.Ports, spec.Port{HostIP: "::1", ContainerPort: 80, Protocol: "tcp"})
	}
	id := r.start(b)
	ports := r.status(id).Ports
	check := func() {
		t.Helper()
		for _, i := range []int{0, len(ports) - 1} {
			r.answers(fmt.Sprintf("[::1]:%d", ports[i].HostPort), "many")
		}
	}
	check()
	r.reopen()
	check()
	r.killProxy()
	check()
	r.stop(id)
	r.noProxy()
}
