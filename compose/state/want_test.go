package state

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/engine/spec"
)

func shop() *model.Project {
	grace, mode := 3*time.Second, uint32(0o700)
	return &model.Project{
		Name: "shop", WorkingDir: "/app", ComposeFiles: []string{"/app/a.yaml", "/app/b.yaml"},
		Services: map[string]model.Service{
			"db": {Name: "db", Image: "redis:alpine", Scale: 1, Networks: []model.Attachment{{Network: "back"}},
				Mounts: []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}}},
			"web": {
				Name: "web", Build: &model.Build{Context: "/app/web", Secrets: []model.BuildSecret{{Source: "pw", ID: "pw"}}}, Scale: 2,
				Labels:  map[string]string{"mine": "1", "com.docker.compose.project": "spoofed"},
				Command: []string{"run"}, Environment: map[string]string{"A": "1"}, Unset: []string{"B"},
				StopGracePeriod: &grace, Ulimits: []model.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
				SeccompUnconfined: true,
				Mounts:            []model.Mount{{Type: model.MountTmpfs, Target: "/tmp", Mode: &mode, Options: []string{"exec"}}},
				Configs:           []model.FileRef{{Source: "conf", Target: "/conf", Mode: 0o444}},
				Secrets:           []model.FileRef{{Source: "pw", Target: "/run/secrets/pw", UID: 5, GID: 6, Mode: 0o400}},
				Networks:          []model.Attachment{{Network: "back", Aliases: []string{"www"}}, {Network: "default"}},
				Ports:             []model.Port{{Published: 8080, Target: 80, Protocol: "tcp", Name: "http"}, {HostIP: "10.0.0.1", Target: 81, Protocol: "udp"}},
				Expose:            []model.ExposedPort{{Port: 99, Protocol: "tcp"}},
				Resources:         model.Resources{NanoCPUs: 5e8, Memory: 1 << 20, ShmSize: 5},
				Restart:           model.Restart{Policy: "on-failure", MaxRetries: 3, Delay: time.Second, Window: time.Minute},
				DependsOn:         []model.Dependency{{Service: "db", Condition: model.Healthy, Required: true, Restart: true}},
			},
			"side": {Name: "side", Image: "x", Scale: 1, NetworkMode: "service:web"},
		},
		Disabled: map[string]model.Service{"debug": {Name: "debug", Image: "x", Scale: 1, NetworkMode: "none",
			DependsOn: []model.Dependency{{Service: "db", Condition: model.Started, Required: true}}}},
		Networks: map[string]model.Network{
			"default": {Key: "default", Name: "shop_default", Driver: "bridge"},
			"back":    {Key: "back", Name: "other", Driver: "bridge", Internal: true, Subnets: []model.Subnet{{Subnet: "10.1.0.0/24", Gateway: "10.1.0.1"}}, Labels: map[string]string{"n": "1"}},
			"unused":  {Key: "unused", Name: "shop_unused", Driver: "bridge"},
		},
		Volumes: map[string]model.Volume{"data": {Key: "data", Name: "shop_data", Driver: "local"}, "unused": {Key: "unused", Name: "shop_unused"}},
		Configs: map[string]model.Object{"conf": {Key: "conf", Digest: strings.Repeat("c", 64)}},
		Secrets: map[string]model.Object{"pw": {Key: "pw", Digest: strings.Repeat("d", 64)}},
	}
}

func want(t *testing.T, p *model.Project, o Options) Desired {
	t.Helper()
	d, err := Want(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReplicaIsTheServiceInTheEnginesWords(t *testing.T) {
	d := want(t, shop(), Options{Version: "1.2", Defaults: Defaults{HostIP: "127.0.0.1", LogMaxFiles: 2}})
	got := d.Service("web").Replica(2)
	if len(got.Labels[LabelHash]) != 64 {
		t.Errorf("hash %q", got.Labels[LabelHash])
	}
	delete(got.Labels, LabelHash)
	grace := 3 * time.Second
	expected := spec.Blueprint{
		Name: "shop-web-2", Project: "shop", Image: "shop-web",
		Labels: map[string]string{
			"mine": "1", LabelProject: "shop", LabelService: "web", LabelNumber: "2", LabelOneOff: "False",
			LabelDependsOn: "db:service_healthy:true", LabelConfigFiles: "/app/a.yaml,/app/b.yaml",
			LabelWorkingDir: "/app", LabelVersion: "1.2",
		},
		Command: []string{"run"}, Environment: map[string]string{"A": "1"}, Unset: []string{"B"},
		StopGrace: &grace, Ulimits: map[string]spec.Ulimit{"nofile": {Soft: 1, Hard: 2}}, Seccomp: "unconfined",
		Mounts: []spec.Mount{{Type: spec.MountTmpfs, Target: "/tmp", TmpfsMode: 0o700, TmpfsOptions: []string{"exec"}}},
		Files: []spec.File{
			{Digest: strings.Repeat("c", 64), Target: "/conf", Mode: 0o444},
			{Digest: strings.Repeat("d", 64), Target: "/run/secrets/pw", UID: 5, GID: 6, Mode: 0o400, Secret: true},
		},
		NetworkMode: "bridge",
		Networks: []spec.Attachment{
			{Network: "other", Aliases: []string{"web", "www", "shop-web-2"}, LeaseKey: "shop-web-2"},
			{Network: "shop_default", Aliases: []string{"web", "shop-web-2"}, LeaseKey: "shop-web-2"},
		},
		Ports: []spec.Port{
			{HostIP: "127.0.0.1", HostPort: 8080, ContainerPort: 80, Protocol: "tcp"},
			{HostIP: "10.0.0.1", ContainerPort: 81, Protocol: "udp"},
		},
		Expose: []string{"99/tcp"}, ShmSize: 5,
		Resources: spec.Resources{CPUs: 0.5, Memory: 1 << 20},
		Restart:   spec.Restart{Policy: spec.RestartOnFailure, MaxAttempts: 3, Delay: time.Second, Window: time.Minute},
		Log:       spec.Log{MaxFiles: 2, Replica: "web-2"},
	}
	if !reflect.DeepEqual(got, expected) {
		t.Errorf("got\n%+v\nwant\n%+v", got, expected)
	}
}

func TestOnlyUsedNetworksAndVolumesAreWanted(t *testing.T) {
	d := want(t, shop(), Options{})
	var networks []string
	for _, n := range d.Networks {
		networks = append(networks, n.Spec.Name)
	}
	if !slices.Equal(networks, []string{"other", "shop_default"}) || len(d.Volumes) != 1 {
		t.Errorf("networks %v, volumes %v", networks, d.Volumes)
	}
	n := d.Networks[0]
	labels := map[string]string{"n": "1", LabelProject: "shop", LabelNetwork: "back", LabelVersion: "", LabelHash: n.Hash}
	if !maps.Equal(n.Spec.Labels, labels) || !reflect.DeepEqual(n.Spec.Pools, []spec.Pool{{Subnet: "10.1.0.0/24", Gateway: "10.1.0.1"}}) || !n.Spec.Internal ||
		!slices.Equal(n.Users, []string{"db", "web"}) {
		t.Errorf("network %+v", n)
	}
	if v := d.Volumes[0]; v.Spec.Labels[LabelVolume] != "data" || v.Spec.Name != "shop_data" {
		t.Errorf("volume %+v", v)
	}
}

func TestModesFollowSelectionAndDependencies(t *testing.T) {
	cases := []struct {
		name string
		o    Options
		want map[string]Mode
	}{
		{"all", Options{}, map[string]Mode{"db": Selected, "side": Selected, "web": Selected}},
		{"one with what it needs", Options{Services: []string{"web"}}, map[string]Mode{"db": Needed, "side": Other, "web": Selected}},
		{"one alone", Options{Services: []string{"web"}, NoDeps: true}, map[string]Mode{"db": Other, "side": Other, "web": Selected}},
		{"a named one of an inactive profile", Options{Services: []string{"debug"}}, map[string]Mode{"db": Needed, "debug": Selected, "side": Other, "web": Other}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]Mode{}
			for _, s := range want(t, shop(), c.o).Services {
				got[s.Name] = s.Mode
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnUnknownServiceIsNamed(t *testing.T) {
	if _, err := Want(shop(), Options{Services: []string{"nosuch"}}); err == nil || !strings.Contains(err.Error(), "no such service: nosuch") {
		t.Errorf("error %v", err)
	}
}

func TestNetworkModeBridgeIsASharedNetwork(t *testing.T) {
	p := shop()
	s := p.Services["db"]
	s.NetworkMode, s.Networks = "bridge", nil
	p.Services["db"] = s
	d := want(t, p, Options{})
	b := d.Service("db").Replica(1)
	if b.NetworkMode != "bridge" || len(b.Networks) != 1 || b.Networks[0].Network != "bridge" {
		t.Errorf("blueprint %+v", b)
	}
	i := slices.IndexFunc(d.Networks, func(n Network) bool { return n.Spec.Name == "bridge" })
	if i < 0 || !d.Networks[i].Shared || !d.Networks[i].Spec.GoesWithLast() || !slices.Equal(d.Networks[i].Users, []string{"db"}) {
		t.Errorf("networks %+v", d.Networks)
	}
}

func TestAnExtensionKeyOpensTheHostsLoopback(t *testing.T) {
	p := shop()
	s := p.Services["db"]
	s.Extensions = map[string]json.RawMessage{"x-host-loopback": json.RawMessage("true"), "x-other": json.RawMessage(`"true"`)}
	p.Services["db"] = s
	d := want(t, p, Options{})
	if !d.Service("db").Replica(1).HostLoopback || d.Service("web").Replica(1).HostLoopback {
		t.Error("the key does not decide")
	}
}

func TestAContainerNameAllowsOneReplica(t *testing.T) {
	p := shop()
	s := p.Services["db"]
	s.ContainerName = "mine"
	p.Services["db"] = s
	d := want(t, p, Options{})
	if got := d.Service("db").Replica(1).Name; got != "mine" {
		t.Errorf("name %s", got)
	}
	if _, err := Want(p, Options{Scale: map[string]int{"db": 2}}); err == nil {
		t.Error("two replicas of one name were accepted")
	}
}

func TestMissingContentIsAnError(t *testing.T) {
	p := shop()
	p.Secrets["pw"] = model.Object{Key: "pw"}
	if _, err := Want(p, Options{}); err == nil || !strings.Contains(err.Error(), "cannot give secret pw to service web: its content was not read") {
		t.Errorf("error %v", err)
	}
}

func TestARunDiffersFromItsServiceAsAsked(t *testing.T) {
	slug := strings.Repeat("ab", 32)
	d, err := WantRun(shop(), Run{
		Service: "web", Slug: slug, Command: []string{"sh"}, Environment: map[string]string{"B": "2"}, User: "me",
		Terminal: true, Stdin: true, Remove: true, Start: true, Mounts: []spec.Mount{{Type: spec.MountBind, Source: "/x", Target: "/tmp"}},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := d.OneOff.Blueprint
	if b.Name != "shop-web-run-abababababab" || b.Labels[LabelOneOff] != "True" || b.Labels[LabelSlug] != slug ||
		b.Labels[LabelRemove] != "true" || b.Labels[LabelNumber] != "" {
		t.Errorf("name %s, labels %v", b.Name, b.Labels)
	}
	if len(b.Ports) != 0 || b.Restart.Policy != "" || len(b.Unset) != 0 || b.Environment["A"] != "1" || b.Environment["B"] != "2" ||
		len(b.Mounts) != 1 || b.Mounts[0].Source != "/x" || !slices.Equal(b.Networks[0].Aliases, []string{b.Name}) {
		t.Errorf("blueprint %+v", b)
	}
	if d.Service("web").Mode != Other || d.Service("db").Mode != Needed {
		t.Errorf("modes %s, %s", d.Service("web").Mode, d.Service("db").Mode)
	}
	if replica := d.Service("web").Replica(1); len(replica.Environment) != 1 || replica.Labels[LabelOneOff] != "False" {
		t.Errorf("the run changed its service: %+v", replica)
	}
	if _, err := WantRun(shop(), Run{Service: "nosuch"}, Options{}); err == nil || err.Error() != "no such service: nosuch" {
		t.Errorf("error %v", err)
	}
}

func TestObserveSeesOnlyWhatIsLabelled(t *testing.T) {
	f := backend.NewFake()
	image := f.AddImage("x", spec.ImageConfig{})
	for _, b := range []spec.Blueprint{
		{Name: "shop-web-10", Labels: map[string]string{LabelProject: "shop", LabelService: "web", LabelNumber: "10", LabelOneOff: "False", LabelDependsOn: "db:service_healthy:true,q"}},
		{Name: "shop-web-9", Labels: map[string]string{LabelProject: "shop", LabelService: "web", LabelNumber: "9"}},
		{Name: "shop-web-run-1", Labels: map[string]string{LabelProject: "shop", LabelService: "web", LabelOneOff: "True"}},
		{Name: "stray"},
	} {
		b.Project, b.Image, b.ImageDigest = "shop", "x", image.Digest
		if _, err := f.CreateContainer(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	a, err := Observe(t.Context(), f, "shop", []string{"x", "missing", "x"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range a.Containers {
		names = append(names, c.Name())
	}
	if !slices.Equal(names, []string{"shop-web-run-1", "shop-web-9", "shop-web-10"}) || len(a.Replicas("web")) != 2 || len(a.Images) != 1 {
		t.Errorf("containers %v, images %v", names, a.Images)
	}
	deps := Dependencies(nil, a)["web"]
	if len(deps) != 2 || deps[0].Condition != model.Healthy || !deps[0].Restart || deps[1].Service != "q" {
		t.Errorf("dependencies %v", deps)
	}
	if deps := Dependencies(shop(), a)["web"]; len(deps) != 1 || deps[0].Service != "db" {
		t.Errorf("dependencies by the project %v", deps)
	}
}

func TestLabelOfDependenciesReadsBack(t *testing.T) {
	in := []model.Dependency{
		{Service: "a", Condition: model.Started, Required: true},
		{Service: "b", Condition: model.Completed, Required: true, Restart: true},
	}
	if got := parseDepends(dependsLabel(in)); !slices.Equal(got, in) {
		t.Errorf("got %v", got)
	}
	if got := parseDepends(""); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}
