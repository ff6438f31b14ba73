package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/wire"
)

func numbers(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

func TestEveryLineIsStoredAndTheExitRecordIsThereWhenTheEndIsTold(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("seq 1 100000; echo oops >&2; exit 42", false)
	exit := d.awaitExit()
	raw, err := os.ReadFile(r.record())
	r.must(err)
	var record wire.MonitorExit
	r.must(json.Unmarshal(raw, &record))
	if record.Code != 42 || record.BootID != "this boot" || record.ID != testID || record.ExitedAt < record.StartedAt || record.Ran <= 0 {
		t.Errorf("record %+v", record)
	}
	if exit.Code != 42 || exit.StartedAt != record.StartedAt {
		t.Errorf("told %+v", exit)
	}
	stdout, stderr := r.stored()
	if stdout != numbers(100000) || stderr != "oops\n" {
		t.Errorf("%d bytes of stdout, stderr %q", len(stdout), stderr)
	}
	var status wire.MonitorStatusAnswer
	_, err = d.call(wire.MonitorStatus, struct{}{}, &status)
	r.must(err)
	if status.Running || status.Exit == nil || status.Exit.Code != 42 {
		t.Errorf("status %+v", status)
	}
}

func TestTheContainerGoesOnWithoutADaemonAndTheNextOneLearnsAll(t *testing.T) {
	r := newRig(t)
	first := r.dial()
	first.start("seq 1 1000; read line; seq 1001 2000; exit 3", true)
	stdin := first.attach("", true)
	first.close()
	kerneltest.Eventually(t, time.Minute, func() error {
		if r.ensures() == 0 {
			return errors.New("no keeper is ensured")
		}
		return nil
	})
	_, err := stdin.Write([]byte("go\n"))
	r.must(err)
	kerneltest.Eventually(t, time.Minute, func() error {
		_, err := os.Stat(r.record())
		return err
	})
	second := r.dial()
	var status wire.MonitorStatusAnswer
	kerneltest.Eventually(t, time.Minute, func() error {
		if _, err := second.call(wire.MonitorStatus, struct{}{}, &status); err != nil {
			return err
		}
		if status.Running {
			return errors.New("still running")
		}
		return nil
	})
	if status.Exit == nil || status.Exit.Code != 3 {
		t.Errorf("status %+v", status)
	}
	if stdout, _ := r.stored(); stdout != numbers(2000) {
		t.Errorf("%d bytes stored", len(stdout))
	}
}

func TestWithADaemonNoKeeperIsEnsured(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exit 0", false)
	d.awaitExit()
	if n := r.ensures(); n != 0 {
		t.Errorf("ensured %d times", n)
	}
}

func TestANewConnectionTakesThePlaceOfTheOld(t *testing.T) {
	r := newRig(t)
	old := r.dial()
	old.start("read line; exit 5", true)
	fresh := r.dial()
	<-old.gone
	_, err := fresh.attach("", true).Write([]byte("\n"))
	r.must(err)
	if exit := fresh.awaitExit(); exit.Code != 5 {
		t.Errorf("told %+v", exit)
	}
}

func TestAttachCarriesStdinAndBothStreamsFromTheFirstByte(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	client := d.attach("", true) // before the start: nothing is missed
	d.start("echo first; cat; echo err >&2", true)
	_, err := client.Write([]byte("typed\n"))
	r.must(err)
	raw, err := client.SyscallConn()
	r.must(err)
	r.must(raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }))
	r.must(err)
	all, err := io.ReadAll(client)
	r.must(err)
	streams := unframe(t, all)
	if streams[1] != "first\ntyped\n" || streams[2] != "err\n" {
		t.Errorf("streams %q", streams)
	}
	d.awaitExit()
}

func TestASlowClientIsDroppedAndTheContainerIsNot(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	client := d.attach("", false)
	const lines = 2_000_000 // 14 MB: beyond what a client may lag
	d.start(fmt.Sprintf("seq 1 %d", lines), false)
	if exit := d.awaitExit(); exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
	got, _ := io.Copy(io.Discard, client)
	if got >= 14_000_000 {
		t.Errorf("the client that never read has got %d bytes", got)
	}
	stdout, _ := r.stored()
	if !strings.HasSuffix(stdout, fmt.Sprintf("\n%d\n", lines)) {
		t.Error("the end of the log is missing")
	}
}

func TestStartsThatFailTellTheirCode(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	request := d.request("", false)
	request.Recipe.Process.Args = []string{"missing"}
	_, err := d.call(wire.MonitorStart, request, nil)
	code, ok := wire.StartErrorCode(err)
	if !ok || code != 127 || !strings.Contains(err.Error(), "not found") {
		t.Errorf("error %v, code %d", err, code)
	}
	d.start("exit 0", false) // and it can be tried again
	d.awaitExit()
}

func TestASignalEndsTheContainerWith128More(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	if _, err := d.call(wire.MonitorQuit, struct{}{}, nil); err == nil {
		t.Error("quit while the container runs")
	}
	if _, err := d.call(wire.MonitorStart, d.request("exit 0", false), nil); err == nil {
		t.Error("a second start while the container runs")
	}
	_, err := d.call(wire.MonitorSignal, wire.MonitorSignalRequest{Signal: int(unix.SIGTERM)}, nil)
	r.must(err)
	if exit := d.awaitExit(); exit.Code != 143 || exit.Signal != 15 {
		t.Errorf("exit %+v", exit)
	}
	_, err = d.call(wire.MonitorQuit, struct{}{}, nil)
	r.must(err)
	err = <-r.ended
	r.ended <- err // for the rig
	r.must(err)
}

func TestARestartGoesOnWithTheLog(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("echo one; printf half", false)
	d.awaitExit()
	d.start("echo two", false)
	d.awaitExit()
	if stdout, _ := r.stored(); stdout != "one\nhalf\ntwo\n" {
		t.Errorf("stored %q", stdout)
	}
}

func TestAProbeIsAnExecWhoseOutputsEndIsKept(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh("early", "true")}, nil)
	if err == nil {
		t.Error("an exec without container")
	}
	d.start("exec sleep 1000", false)
	_, err = d.call(wire.MonitorExec, wire.MonitorExecRequest{
		Recipe: sh("probe", "seq 1 10000; exit 1"), CaptureLimit: 12}, nil)
	r.must(err)
	var exit wire.MonitorExit
	_, err = d.call(wire.MonitorWaitExec, wire.MonitorTarget{Exec: "probe"}, &exit)
	r.must(err)
	if exit.Code != 1 || string(exit.Output) != "\n9999\n10000\n" || exit.ID != "probe" {
		t.Errorf("exit %+v, output %q", exit, exit.Output)
	}
	// The same id again is the same exec: nothing is started.
	_, err = d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh("probe", "true")}, nil)
	r.must(err)
	_, err = d.call(wire.MonitorWaitExec, wire.MonitorTarget{Exec: "probe"}, &exit)
	r.must(err)
	if exit.Code != 1 {
		t.Errorf("the exec was started twice: exit %+v", exit)
	}
}

// What a daemon had taken and died with is sent again to a reader that says how
// far it has come.
func TestAReaderOfAnExecComesBackWhereItWas(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh("e1", "seq 1 5000; exit 9")}, nil)
	r.must(err)
	first, err := io.ReadAll(d.attach("e1", false))
	r.must(err)
	from := int64(len(first) / 3) // in the middle of a frame, for all that it knows
	files, err := d.call(wire.MonitorAttach, wire.MonitorAttachRequest{
		MonitorTarget: wire.MonitorTarget{Exec: "e1"}, From: &from}, nil)
	r.must(err)
	defer files[0].Close()
	rest, err := io.ReadAll(files[0])
	r.must(err)
	if string(first[:from])+string(rest) != string(first) {
		t.Errorf("%d bytes, then %d behind %d", len(first), len(rest), from)
	}
}

func TestAnExecSurvivesItsDaemonWithOutputAndCode(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh("e1", "seq 1 5000; exit 9")}, nil)
	r.must(err)
	d.close() // before anybody has attached
	again := r.dial()
	var exit wire.MonitorExit
	_, err = again.call(wire.MonitorWaitExec, wire.MonitorTarget{Exec: "e1"}, &exit)
	r.must(err)
	all, err := io.ReadAll(again.attach("e1", false))
	r.must(err)
	if exit.Code != 9 || unframe(t, all)[1] != numbers(5000) {
		t.Errorf("exit %+v, %d bytes", exit, len(all))
	}
}

func TestAnExecWaitsForItsSlowReader(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh("big", "seq 1 300000")}, nil)
	r.must(err)
	client := d.attach("big", false)
	var all []byte
	block := make([]byte, 100_000)
	for {
		n, err := client.Read(block)
		all = append(all, block[:n]...)
		if err != nil {
			break
		}
		time.Sleep(time.Millisecond) // slow: far more waits than may lag
	}
	if got := unframe(t, all)[1]; got != numbers(300000) {
		t.Errorf("%d bytes", len(got))
	}
}

// A process has ended and left a full pipe behind, which somebody else holds
// open; the machine stood still, or the sink did, for longer than that is waited
// for. What lies in the pipe is not lost.
func TestWhatLiesInAPipeIsReadAlsoWhenItsTimeIsOver(t *testing.T) {
	read, write, err := pipe(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	source, err := pollable(read)
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	text := numbers(30000) // less than pipeSize, more than readSize
	if _, err := write.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := source.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	p := &process{sources: []*os.File{source}}
	got := newCapture(1 << 20)
	p.pump(got, &blocks{})
	p.pumps.Wait()
	source.Close()
	if string(got.bytes()) != text {
		t.Errorf("%d bytes of %d", len(got.bytes()), len(text))
	}
}

func TestADetachedExecNeverWaits(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{
		Recipe: sh("bg", "seq 1 300000; exit 4"), Detach: true}, nil)
	r.must(err)
	var exit wire.MonitorExit
	_, err = d.call(wire.MonitorWaitExec, wire.MonitorTarget{Exec: "bg"}, &exit)
	r.must(err)
	if exit.Code != 4 {
		t.Errorf("exit %+v", exit)
	}
}

func TestAnIdleMonitorLeaves(t *testing.T) {
	m := New(Config{ID: testID, Idle: time.Millisecond, Logf: t.Logf})
	listener, err := wire.Listen(t.TempDir() + "/m.sock")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Serve(t.Context(), listener); err != nil {
		t.Error(err)
	}
}

func TestOOMKillsAreReadFromBothForms(t *testing.T) {
	for text, want := range map[string]int64{
		"low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n": 2,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 7\n":               7,
		"low 0\n": 0, "": 0, "oom_kill x\n": 0,
	} {
		if got := parseOOMKills(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// Probes come by the thousand: what one costs in garbage is what a monitor
// grows by between two collections.
func TestAProbeMakesLittleGarbage(t *testing.T) {
	r := newRig(t)
	d := r.dial()
	d.start("exec sleep 1000", false)
	probe := func(i int) {
		id := fmt.Sprintf("probe%d", i)
		_, err := d.call(wire.MonitorExec, wire.MonitorExecRequest{Recipe: sh(id, "echo fine"), CaptureLimit: 4096}, nil)
		r.must(err)
		_, err = d.call(wire.MonitorWaitExec, wire.MonitorTarget{Exec: id}, nil)
		r.must(err)
	}
	probe(0) // takes what is used again
	const probes = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range probes {
		probe(i + 1)
	}
	runtime.ReadMemStats(&after)
	// Both ends of the wire are in this process. A pump's block is 64 KiB, and
	// a probe has two. The race detector has a sync.Pool forget every fourth.
	if each := (after.TotalAlloc - before.TotalAlloc) / probes; each > 100<<10 {
		t.Errorf("a probe makes %d bytes of garbage", each)
	}
}
