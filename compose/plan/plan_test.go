package plan

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

var update = flag.Bool("update", false, "record the golden files anew")

// golden compares a text with testdata/<name>.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", name, got, want)
	}
}

// shop is the project that nobody tuned for: conditions, two networks, a
// volume, a secret, a one-shot, three replicas.
func shop() *model.Project {
	health := &model.Healthcheck{Test: []string{"CMD", "redis-cli", "ping"}}
	both := []model.Attachment{{Network: "back"}, {Network: "default"}}
	back := []model.Attachment{{Network: "back"}}
	need := func(service string, c model.Condition) model.Dependency {
		return model.Dependency{Service: service, Condition: c, Required: true}
	}
	return &model.Project{
		Name: "shop", WorkingDir: "/app", ComposeFiles: []string{"/app/compose.yaml"},
		Services: map[string]model.Service{
			"migrate": {Name: "migrate", Scale: 1, Image: "shop-web", Command: []string{"exit", "0"}, Networks: back,
				DependsOn: []model.Dependency{need("redis", model.Healthy)}},
			"redis": {Name: "redis", Scale: 1, Image: "redis:alpine", Healthcheck: health, Networks: back,
				Mounts: []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}}},
			"web": {Name: "web", Scale: 1, Build: &model.Build{Context: "/app/web"}, Networks: both,
				Environment: map[string]string{"DEBUG": "0"}, Ports: []model.Port{{Published: 8080, Target: 80, Protocol: "tcp"}},
				Secrets:   []model.FileRef{{Source: "pw", Target: "/run/secrets/pw", Mode: 0o444}},
				DependsOn: []model.Dependency{need("migrate", model.Completed), need("redis", model.Started)}},
			"worker": {Name: "worker", Scale: 3, Image: "shop-web", Networks: back,
				DependsOn: []model.Dependency{need("redis", model.Healthy)}},
		},
		Networks: map[string]model.Network{
			"default": {Key: "default", Name: "shop_default", Driver: "bridge"},
			"back":    {Key: "back", Name: "shop_back", Driver: "bridge", Internal: true},
			"unused":  {Key: "unused", Name: "shop_unused", Driver: "bridge"},
		},
		Volumes: map[string]model.Volume{"data": {Key: "data", Name: "shop_data", Driver: "local"}},
		Secrets: map[string]model.Object{"pw": {Key: "pw", Name: "shop_pw", Source: model.SourceFile, Digest: strings.Repeat("a", 64)}},
	}
}

var shell = spec.ImageConfig{Cmd: []string{"sh"}}

var images = map[string]spec.Image{
	"redis:alpine": {Digest: "sha256:redis", Config: shell}, "shop-web": {Digest: "sha256:web", Config: shell},
}

// hooked is the shop in which redis has hooks.
func hooked() *model.Project {
	p := shop()
	redis := p.Services["redis"]
	redis.PostStart = []model.Hook{{Command: []string{"warm", "up"}}}
	redis.PreStop = []model.Hook{{Command: []string{"flush"}}}
	p.Services["redis"] = redis
	return p
}

// standing returns what there is after a project was brought up.
func standing(t testing.TB, p *model.Project) state.Actual {
	t.Helper()
	want, err := state.Want(p, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := state.Actual{Project: p.Name, Images: images, Networks: map[string]spec.Network{}, Volumes: map[string]spec.Volume{}}
	full, err := Diff(want, a, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for i := range full.Steps {
		switch s := &full.Steps[i]; s.Kind {
		case CreateNetwork:
			a.Networks[s.Target] = *s.Network
		case CreateVolume:
			a.Volumes[s.Target] = *s.Volume
		case CreateContainer:
			b := *s.Blueprint
			b.ID = fmt.Sprintf("%064x", len(ids)+1)
			ids[b.Name] = b.ID
			if owner, ok := strings.CutPrefix(b.NetworkMode, "container:"); ok {
				b.NetworkMode = "container:" + ids[owner]
			}
			a.Containers = append(a.Containers, state.Describe(spec.Container{Blueprint: b, Status: spec.Status{State: spec.StateRunning}}))
		}
	}
	slices.SortFunc(a.Containers, func(x, y state.Container) int { return strings.Compare(x.Name(), y.Name()) })
	return a
}

func container(t testing.TB, a state.Actual, name string) *state.Container {
	t.Helper()
	for i := range a.Containers {
		if a.Containers[i].Name() == name {
			return &a.Containers[i]
		}
	}
	t.Fatalf("no container %s", name)
	return nil
}

func mustDiff(t testing.TB, p *model.Project, a state.Actual, o state.Options, policy Policy) *Plan {
	t.Helper()
	want, err := state.Want(p, o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Diff(want, a, policy)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPlansReadAsTheyShould(t *testing.T) {
	nothing := func(a map[string]spec.Image) state.Actual { return state.Actual{Project: "shop", Images: a} }
	t.Run("fresh with images", func(t *testing.T) {
		golden(t, "fresh", mustDiff(t, shop(), nothing(images), state.Options{}, Policy{}).String())
	})
	t.Run("fresh without images", func(t *testing.T) {
		p := mustDiff(t, shop(), nothing(nil), state.Options{}, Policy{})
		text := p.String()
		p, err := p.With("redis:alpine", images["redis:alpine"])
		if err != nil {
			t.Fatal(err)
		}
		text += "\nonce redis:alpine is known:\n" + p.String()
		if p, err = p.With("shop-web", images["shop-web"]); err != nil {
			t.Fatal(err)
		}
		golden(t, "pending", text+"\nonce shop-web is known:\n"+p.String())
	})
	t.Run("with hooks", func(t *testing.T) {
		p := hooked()
		text := mustDiff(t, p, nothing(images), state.Options{Services: []string{"web"}}, Policy{Wait: true}).String()
		a := standing(t, p)
		container(t, a, "shop-redis-1").Status.HooksDue = true
		text += "\nthose of redis did not succeed:\n" + mustDiff(t, p, a, state.Options{}, Policy{}).String()
		container(t, a, "shop-redis-1").Status.State = spec.StateRestarting
		text += "\nand it is in back-off:\n" + mustDiff(t, p, a, state.Options{}, Policy{}).String()
		container(t, a, "shop-redis-1").Status.State = spec.StateRunning
		again, err := Restart(a, Scope{Project: p, Services: []string{"redis"}}, RestartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "hooks", text+"\nrestart redis:\n"+again.String())
	})
	t.Run("second up with wait", func(t *testing.T) {
		golden(t, "wait", mustDiff(t, shop(), standing(t, shop()), state.Options{}, Policy{Wait: true}).String())
	})
	t.Run("one field", func(t *testing.T) {
		p := shop()
		web := p.Services["web"]
		web.Environment = map[string]string{"DEBUG": "1"}
		p.Services["web"] = web
		a := standing(t, shop())
		a.Images = map[string]spec.Image{"redis:alpine": images["redis:alpine"], "shop-web": {Digest: "sha256:newer", Config: shell}}
		golden(t, "changed", mustDiff(t, p, a, state.Options{Services: []string{"web"}, NoDeps: true}, Policy{}).String())
	})
	t.Run("network", func(t *testing.T) {
		p := shop()
		n := p.Networks["back"]
		n.Internal = false
		p.Networks["back"] = n
		golden(t, "network", mustDiff(t, p, standing(t, shop()), state.Options{}, Policy{}).String())
	})
	t.Run("down", func(t *testing.T) {
		p, err := Down(standing(t, shop()), Scope{Project: shop()}, DownOptions{Volumes: true, Images: "local"})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "down", p.String())
	})
	t.Run("restart", func(t *testing.T) {
		p, err := Restart(standing(t, shop()), Scope{Project: shop(), Services: []string{"redis", "worker"}}, RestartOptions{})
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "restart", p.String())
	})
}

func TestJSONHoldsNoBlueprint(t *testing.T) {
	p := mustDiff(t, shop(), state.Actual{Project: "shop", Images: images}, state.Options{Services: []string{"redis"}}, Policy{})
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "json", string(data)+"\n")
}

func TestAnUnchangedProjectNeedsNothing(t *testing.T) {
	p := mustDiff(t, shop(), standing(t, shop()), state.Options{}, Policy{})
	if !p.Empty() || len(p.Unchanged) != 6 {
		t.Errorf("%s", p)
	}
	if got := p.String(); !strings.HasPrefix(got, "project shop: nothing to do\n") {
		t.Errorf("it does not say so: %s", got)
	}
}

// TestEachFieldIsNamed changes one thing of one service: only its container is
// recreated, and the cause names the field in a user's words.
func TestEachFieldIsNamed(t *testing.T) {
	second := 30 * time.Second
	cases := []struct {
		cause  string
		change func(*model.Service)
	}{
		{`command ["exit","0"] → ["exit","1"]`, func(s *model.Service) { s.Command = []string{"exit", "1"} }},
		{`entrypoint set to ["/init"]`, func(s *model.Service) { s.Entrypoint = []string{"/init"} }},
		{`environment.DEBUG "0" → "1"`, func(s *model.Service) { s.Environment = map[string]string{"DEBUG": "1", "DB_PASSWORD": "x"} }},
		{`environment.DEBUG "0" removed`, func(s *model.Service) { s.Environment = map[string]string{"DB_PASSWORD": "x"} }},
		{`environment.DB_PASSWORD changed`, func(s *model.Service) { s.Environment = map[string]string{"DEBUG": "0", "DB_PASSWORD": "y"} }},
		{`environment (unset) set to ["HOME"]`, func(s *model.Service) { s.Unset = []string{"HOME"} }},
		{`post_start changed; pre_stop changed`, func(s *model.Service) {
			s.PostStart = []model.Hook{{Command: []string{"warm"}, Environment: map[string]string{"DB_PASSWORD": "x"}}}
			s.PreStop = s.PostStart
		}},
		{`user set to "nobody"`, func(s *model.Service) { s.User = "nobody" }},
		{`working_dir set to "/srv"`, func(s *model.Service) { s.WorkingDir = "/srv" }},
		{`hostname set to "h"`, func(s *model.Service) { s.Hostname = "h" }},
		{`labels.a set to "b"`, func(s *model.Service) { s.Labels = map[string]string{"a": "b"} }},
		{`init false → true`, func(s *model.Service) { s.Init = true }},
		{`tty false → true`, func(s *model.Service) { s.TTY = true }},
		{`stop_signal set to "SIGINT"`, func(s *model.Service) { s.StopSignal = "SIGINT" }},
		{`stop_grace_period set to 30s`, func(s *model.Service) { s.StopGracePeriod = &second }},
		{`privileged false → true`, func(s *model.Service) { s.Privileged = true }},
		{`cap_add set to ["NET_ADMIN"]`, func(s *model.Service) { s.CapAdd = []string{"NET_ADMIN"} }},
		{`read_only false → true`, func(s *model.Service) { s.ReadOnly = true }},
		{`ulimits.nofile.hard set to 2; ulimits.nofile.soft set to 1`, func(s *model.Service) { s.Ulimits = []model.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}} }},
		{`volumes./data.create_host_path false → true; volumes./data.source set to "/srv"; volumes./data.target set to "/data"; volumes./data.type set to "bind"`,
			func(s *model.Service) {
				s.Mounts = []model.Mount{{Type: model.MountBind, Source: "/srv", Target: "/data", CreateHostPath: true}}
			}},
		{`ports set to [{"containerPort":80,"hostPort":99,"protocol":"tcp"}]`, func(s *model.Service) { s.Ports = []model.Port{{Published: 99, Target: 80, Protocol: "tcp"}} }},
		{`resources.memory set to 1024`, func(s *model.Service) { s.Resources.Memory = 1024 }},
		{`resources.cpus set to 0.5`, func(s *model.Service) { s.Resources.NanoCPUs = 5e8 }},
		{`resources.blkio_config.weight set to 300`, func(s *model.Service) { s.Resources.BlockIO.Weight = 300 }},
		{`resources.blkio_config.devices set to [{"device_read_bps":1,"path":"/dev/sda"}]`, func(s *model.Service) {
			s.Resources.BlockIO.Devices = []model.BlockDevice{{Path: "/dev/sda", ReadBPS: 1}}
		}},
		{`restart.policy set to "always"`, func(s *model.Service) { s.Restart.Policy = "always" }},
		{`restart.delay set to 30s`, func(s *model.Service) { s.Restart.Delay = second }},
		{`healthcheck.interval set to 30s; healthcheck.test set to ["CMD","true"]`, func(s *model.Service) {
			s.Healthcheck = &model.Healthcheck{Test: []string{"CMD", "true"}, Interval: second}
		}},
		{`dns.servers set to ["10.0.0.1"]`, func(s *model.Service) { s.DNS = []string{"10.0.0.1"} }},
		{`extra_hosts set to [{"ip":"10.0.0.1","name":"h"}]`, func(s *model.Service) { s.ExtraHosts = []model.ExtraHost{{Name: "h", Address: "10.0.0.1"}} }},
		{`logging.max_size set to 5`, func(s *model.Service) { s.Logging = &model.Logging{MaxSize: 5} }},
		{`networks.shop_back.aliases ["migrate","shop-migrate-1"] → ["migrate","m","shop-migrate-1"]`, func(s *model.Service) {
			s.Networks = []model.Attachment{{Network: "back", Aliases: []string{"m"}}}
		}},
		{`container_name "shop-migrate-1" → "m"; networks.shop_back.aliases ["migrate","shop-migrate-1"] → ["migrate","m"]`, func(s *model.Service) { s.ContainerName = "m" }},
		{`/run/secrets/pw: content changed`, func(s *model.Service) { s.Secrets[0].Source = "other" }},
		{`files./run/secrets/pw.mode 256 → 292`, func(s *model.Service) { s.Secrets[0].Mode = 0o444 }},
	}
	project := func(change func(*model.Service)) *model.Project {
		p := shop()
		p.Secrets["other"] = model.Object{Key: "other", Digest: strings.Repeat("b", 64)}
		s := p.Services["migrate"]
		s.Environment = map[string]string{"DEBUG": "0", "DB_PASSWORD": "x"}
		s.Secrets = []model.FileRef{{Source: "pw", Target: "/run/secrets/pw", Mode: 0o400}}
		if change != nil {
			change(&s)
		}
		p.Services["migrate"] = s
		return p
	}
	before := standing(t, project(nil))
	for _, c := range cases {
		t.Run(c.cause, func(t *testing.T) {
			p := mustDiff(t, project(c.change), before, state.Options{}, Policy{})
			var created []string
			for _, s := range p.Steps {
				if s.Kind == CreateContainer {
					created = append(created, s.Service)
					if s.Cause != c.cause {
						t.Errorf("cause %s", s.Cause)
					}
				}
				if s.Service != "migrate" && s.Kind != WaitContainer {
					t.Errorf("also: %s", s.ID)
				}
			}
			if !slices.Equal(created, []string{"migrate"}) {
				t.Errorf("created %v", created)
			}
		})
	}
}

func TestWhatDoesNotReachTheEngineRecreatesNothing(t *testing.T) {
	cases := map[string]func(*model.Project, *model.Service){
		"profiles":    func(_ *model.Project, s *model.Service) { s.Profiles = []string{"x"} },
		"pull_policy": func(_ *model.Project, s *model.Service) { s.PullPolicy = "missing" },
		"depends_on":  func(_ *model.Project, s *model.Service) { s.DependsOn = nil },
		"build args":  func(_ *model.Project, s *model.Service) { s.Build = &model.Build{Context: "/elsewhere"} },
		"paths": func(p *model.Project, _ *model.Service) {
			p.WorkingDir, p.ComposeFiles = "/other", []string{"/other/x.yaml"}
		},
		"watch":      func(_ *model.Project, s *model.Service) { s.Watch = []model.WatchRule{{Path: "/x", Action: "sync"}} },
		"port hints": func(_ *model.Project, s *model.Service) { s.Ports[0].Name, s.Ports[0].Mode = "http", "ingress" },
	}
	a := standing(t, shop())
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			p := shop()
			s := p.Services["web"]
			change(p, &s)
			p.Services["web"] = s
			if got := mustDiff(t, p, a, state.Options{Version: "another"}, Policy{}); !got.Empty() {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestAHashOfAnotherReleaseRecreatesNothing(t *testing.T) {
	a := standing(t, shop())
	for i := range a.Containers {
		a.Containers[i].Blueprint.Labels[state.LabelHash] = "made by another release"
	}
	if p := mustDiff(t, shop(), a, state.Options{}, Policy{}); !p.Empty() {
		t.Errorf("%s", p)
	}
}
