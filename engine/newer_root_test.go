package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/engine/spec"
)

// fromTheFuture makes an object one of a newer format; edit changes its
// document. The function that it returns puts the old one back.
func (r *rig) fromTheFuture(name string, edit func(string) string) (putBack func()) {
	r.t.Helper()
	file := filepath.Join(r.place.State, name)
	old, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	_, last, _ := bytes.Cut(old[bytes.LastIndex(old, []byte("mycompose-object ")):], []byte("\n"))
	body := []byte(edit(string(last)))
	future := append(fmt.Appendf(nil, "mycompose-object 2 %x\n", sha256.Sum256(body)), body...)
	if err := os.WriteFile(file, future, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		r.t.Helper()
		if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, future) {
			r.t.Errorf("%s was touched: %v", name, err)
		}
		if err := os.WriteFile(file, old, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

func asItIs(body string) string { return body }

// What a newer mycompose wrote runs on, is listed, keeps its name and address,
// and is refused to every command; the rest goes on, and so does everything
// once the newer one is back.
func TestWhatANewerMycomposeWroteRunsOnUntouched(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.network(spec.Network{Name: "n"})
	r.network(spec.Network{Name: "m"})
	if _, err := r.engine.CreateVolume(ctx, spec.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	asks := on(shell("asks", "while :; do nslookup other >/dev/null 2>&1 && echo found; sleep 0.05; done"), spec.Attachment{Network: "n"})
	asks.Mounts = []spec.Mount{{Type: spec.MountVolume, Source: "v", Target: "/v"}}
	asks.Ports = []spec.Port{{ContainerPort: 80, Protocol: "tcp"}}
	record, status := r.start(asks), r.start(on(shell("status", forever), spec.Attachment{Network: "n"}))
	other, onNewer := r.start(on(shell("other", forever), spec.Attachment{Network: "n"})), r.start(on(shell("on-newer", forever), spec.Attachment{Network: "m"}))
	before := map[string]spec.Status{record: r.status(record), status: r.status(status), onNewer: r.status(onNewer)}
	volumes := []spec.Volume{{Name: "v"}}
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}

	undo := []func(){
		r.fromTheFuture("containers/"+record+"/container.json", func(body string) string {
			return strings.Replace(body, `"createdAt":"`, `"grown":{"by":1},"createdAt":"`, 1)
		}),
		r.fromTheFuture("containers/"+status+"/status.json", func(body string) string {
			return strings.Replace(body, `"status":{`, `"status":[],"was":{`, 1)
		}),
		// Where it stands must be found on the machine.
		r.fromTheFuture("networks/m/network.json", func(string) string { return `{"network":7}` + "\n" }),
		r.fromTheFuture("volumes/v/volume.json", asItIs),
	}
	r.open()
	found := len(r.lines(record))
	for _, id := range []string{record, status} {
		s := r.status(id)
		if s.State != spec.StateRunning || !strings.Contains(s.Reason, "newer mycompose") {
			t.Errorf("status %+v", s)
		}
	}
	kerneltest.Eventually(t, patience, func() error {
		if now := len(r.lines(record)); now <= found {
			return fmt.Errorf("no name was found for it: %d lines", now)
		}
		return nil
	})
	for _, name := range []string{"asks", "status"} {
		if out, code := r.run(other, "nslookup "+name); code != 0 {
			t.Errorf("name %s: %s", name, out)
		}
	}
	if out, code := r.run(onNewer, "nslookup on-newer"); code != 0 {
		t.Errorf("names on a newer network: %s", out)
	}
	r.refusesWhatIsNewer([]string{record, status}, volumes)

	// What is made now keeps out of the way.
	r.network(spec.Network{Name: "fresh"})
	fresh := r.start(on(shell("fresh", forever), spec.Attachment{Network: "n"}, spec.Attachment{Network: "fresh"}))
	for _, at := range r.status(fresh).Endpoints {
		for id, s := range before {
			if slices.ContainsFunc(s.Endpoints, func(e spec.Endpoint) bool { return e.IPv4 == at.IPv4 }) {
				t.Errorf("address %s of %s was given away", at.IPv4, short(id))
			}
		}
	}
	if err := r.engine.Close(); err != nil {
		t.Fatal(err)
	}
	for _, putBack := range undo {
		putBack()
	}
	r.open()
	for id, s := range before {
		if now := r.status(id); now.State != spec.StateRunning || !now.StartedAt.Equal(s.StartedAt) || now.Reason != "" {
			t.Errorf("afterwards %+v, before %+v", now, s)
		}
		if _, code := r.run(id, "nslookup other || nslookup on-newer"); code != 0 {
			t.Error("names afterwards")
		}
		r.stop(id)
	}
}

// refusesWhatIsNewer tries to change the containers, network m and the volumes.
func (r *rig) refusesWhatIsNewer(ids []string, volumes []spec.Volume) {
	r.t.Helper()
	ctx, e := r.t.Context(), r.engine
	tries := map[string]error{}
	for _, id := range ids {
		tries["start"] = e.StartContainer(ctx, id)
		tries["stop"] = e.StopContainer(ctx, id, spec.Stop{})
		tries["kill"] = e.KillContainer(ctx, id, "")
		tries["pause"] = e.PauseContainer(ctx, id)
		tries["remove"] = e.RemoveContainer(ctx, id, spec.Remove{Force: true})
		_, tries["exec"] = e.Exec(ctx, spec.Exec{Container: id, Args: []string{"true"}})
		tries["ask before a change"] = errors.Join(e.Changeable(ctx, spec.Touched{Containers: []string{id}})...)
		tries["disconnect"] = e.DisconnectNetwork(ctx, id, "n")
		for what, err := range tries {
			if err == nil || !strings.Contains(err.Error(), "a newer mycompose wrote it (format 2, this one reads up to 1)") {
				r.t.Errorf("%s of %s: %v", what, short(id), err)
			}
		}
	}
	clear(tries)
	tries["ask before a network's removal"] = errors.Join(e.Changeable(ctx, spec.Touched{Networks: []string{"n", "m"}})...)
	tries["ask before a volume's removal"] = errors.Join(e.Changeable(ctx, spec.Touched{Volumes: []string{volumes[0].Name}})...)
	tries["ask before a join"] = errors.Join(e.Check(ctx, []spec.Blueprint{on(shell("early", forever), spec.Attachment{Network: "m"})}, nil, nil)...)
	tries["remove network"] = e.RemoveNetwork(ctx, "m")
	late := r.create(on(shell("late", forever), spec.Attachment{Network: "m"}))
	tries["join network"] = e.StartContainer(ctx, late)
	if err := e.RemoveContainer(ctx, late, spec.Remove{}); err != nil {
		r.t.Error(err)
	}
	for _, v := range volumes {
		tries["remove volume"] = e.RemoveVolume(ctx, v.Name)
	}
	_, _, tries["prune volumes"] = e.PruneVolumes(ctx, func(spec.Volume) bool { return true })
	for what, err := range tries {
		if err == nil || !strings.Contains(err.Error(), "a newer mycompose wrote it") {
			r.t.Errorf("%s: %v", what, err)
		}
	}
}
