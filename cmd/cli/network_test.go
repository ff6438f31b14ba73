package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// nets are what the Fake has not: what a person did to networks.
type nets struct {
	mu    sync.Mutex
	calls []string
}

func (h *host) Networks(ctx context.Context) ([]spec.Network, error) {
	all, err := h.fake.Networks(ctx)
	for i := range all {
		all[i].ID = strings.Repeat(fmt.Sprintf("%x", 10+i), 64)
		all[i].CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	return all, err
}
func (h *host) CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error) {
	made, err := h.fake.CreateNetwork(ctx, n)
	made.ID = strings.Repeat("e", 64)
	return made, err
}
func (h *host) RemoveNetwork(ctx context.Context, name string) error {
	return h.fake.RemoveNetwork(ctx, name)
}
func (h *host) FindNetwork(word string) (spec.Network, error) {
	all, err := h.Networks(context.Background())
	for _, n := range all {
		if n.Name == word || strings.HasPrefix(n.ID, word) {
			return n, nil
		}
	}
	if err == nil {
		err = spec.Errorf(spec.ErrNotFound, "network %s not found", word)
	}
	return spec.Network{}, err
}
func (h *host) InspectNetwork(_ context.Context, word string) (spec.NetworkDetails, error) {
	n, err := h.FindNetwork(word)
	return spec.NetworkDetails{
		Network: n, Link: "mc0badcafe00001", Names: map[string][]string{"web": {"10.5.0.2"}}, Rules: []string{"masked \"mc0badcafe00001\""},
		Attached: []spec.NetworkMember{{ID: strings.Repeat("c", 64), Name: "shop-web-1", Link: "eth0", IPv4: "10.5.0.2/24", MAC: "02:42:0a:05:00:02"}},
	}, err
}
func (h *host) PruneNetworks(ctx context.Context, prune func(spec.Network) bool) ([]string, error) {
	all, err := h.Networks(ctx)
	var gone []string
	for _, n := range all {
		if len(n.Containers) == 0 && prune(n) {
			gone = append(gone, n.Name)
		}
	}
	return gone, err
}
func (h *host) note(format string, args ...any) {
	h.nets.mu.Lock()
	defer h.nets.mu.Unlock()
	h.nets.calls = append(h.nets.calls, fmt.Sprintf(format, args...))
}
func (h *host) ConnectNetwork(_ context.Context, container string, a spec.Attachment) error {
	h.note("connect %s %+v", container, a)
	return nil
}
func (h *host) DisconnectNetwork(_ context.Context, container, name string) error {
	h.note("disconnect %s %s", container, name)
	return spec.Errorf(spec.ErrNotFound, "container %s not found", container)
}

func TestNetworkCommands(t *testing.T) {
	h := newHost(t)
	o := h.must("network", "create", "-d", "bridge", "--subnet", "10.5.0.0/24", "--gateway", "10.5.0.9", "--ip-range", "10.5.0.128/25",
		"--aux-address", "printer=10.5.0.7", "--label", "a=b", "--label", "bare", "-o", "com.docker.network.driver.mtu=1400", "--internal", "--attachable", "lan")
	if o.out != strings.Repeat("e", 64)+"\n" {
		t.Errorf("create: %q", o.out)
	}
	all, err := h.fake.Networks(t.Context())
	want := spec.Network{
		Name: "lan", Driver: "bridge", Internal: true, Attachable: true, Labels: map[string]string{"a": "b", "bare": ""},
		Options: map[string]string{"com.docker.network.driver.mtu": "1400"},
		Pools:   []spec.Pool{{Subnet: "10.5.0.0/24", Gateway: "10.5.0.9", IPRange: "10.5.0.128/25", Reserved: map[string]string{"printer": "10.5.0.7"}}},
	}
	if err != nil || len(all) != 1 || !reflect.DeepEqual(plainNetwork(all[0]), want) {
		t.Errorf("created %+v, %v", all, err)
	}
	h.must("network", "create", "other")
	table := "NETWORK ID     NAME      DRIVER    SCOPE\naaaaaaaaaaaa   lan       bridge    local\nbbbbbbbbbbbb   other     bridge    local\n"
	for args, want := range map[string]string{
		"ls":                                  table,
		"ls -q":                               "aaaaaaaaaaaa\nbbbbbbbbbbbb\n",
		"ls -q --no-trunc -f name=oth":        strings.Repeat("b", 64) + "\n",
		"ls -q --filter label=a=b":            "aaaaaaaaaaaa\n",
		"ls -q -f label=a -f label=none":      "",
		"ls -q -f driver=macvlan":             "",
		"ls -q -f id=bb":                      "bbbbbbbbbbbb\n",
		"ls -q -f dangling=false":             "",
		"ls --format {{.Name}}={{.Internal}}": "lan=true\nother=false\n",
		"inspect --format {{.Name}}/{{.Link}} lan other": "lan/mc0badcafe00001\nother/mc0badcafe00001\n",
	} {
		if got := h.must(append([]string{"network"}, strings.Fields(args)...)...).out; got != want {
			t.Errorf("network %s:\n%s\nwant\n%s", args, got, want)
		}
	}
	var row map[string]string
	if err := json.Unmarshal([]byte(h.must("network", "ls", "-f", "name=lan", "--format", "json").out), &row); err != nil || row["Labels"] != "a=b,bare=" || row["IPv4"] != "true" {
		t.Errorf("json row %v, %v", row, err)
	}
	if got := h.must("network", "rm", "-f", "other", "nosuch").out; got != "other\n" {
		t.Errorf("rm: %q", got)
	}
	if o := h.run("network", "rm", "nosuch"); o.code != 1 || !strings.Contains(o.err, "network nosuch not found") {
		t.Errorf("rm of a missing one: %+v", o)
	}
	h.must("network", "connect", "--alias", "db", "--ip", "10.5.0.30", "--ip6", "fd00::30", "--link-local-ip", "169.254.1.1", "lan", "shop-web-1")
	h.must("network", "disconnect", "--force", "lan", "shop-web-1")
	if o := h.run("network", "disconnect", "lan", "shop-web-1"); o.code != 1 {
		t.Errorf("disconnect of a missing container: %+v", o)
	}
	h.nets.mu.Lock()
	defer h.nets.mu.Unlock()
	if len(h.nets.calls) != 3 || !strings.Contains(h.nets.calls[0], "connect shop-web-1 {Network:lan Aliases:[db] IPv4Address:10.5.0.30 IPv6Address:fd00::30") {
		t.Errorf("calls %q", h.nets.calls)
	}
}

// plainNetwork is a network without what the engine sets.
func plainNetwork(n spec.Network) spec.Network {
	n.ID, n.CreatedAt, n.Containers = "", time.Time{}, nil
	return n
}

func TestNetworkInspectHasDockersFields(t *testing.T) {
	h := newHost(t)
	h.must("network", "create", "--subnet", "10.5.0.0/24", "lan")
	var got []map[string]any
	if err := json.Unmarshal([]byte(h.must("network", "inspect", "lan").out), &got); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, field := range strings.Fields(`Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom
		ConfigOnly Containers Options Labels Link Rules Names Clashes`) {
		if _, ok := got[0][field]; !ok {
			t.Errorf("inspect has no %s", field)
		}
	}
	containers := got[0]["Containers"].(map[string]any)
	if c, ok := containers[strings.Repeat("c", 64)].(map[string]any); !ok || c["IPv4Address"] != "10.5.0.2/24" || c["Name"] != "shop-web-1" {
		t.Errorf("containers %v", containers)
	}
	if o := h.run("network", "inspect", "nosuch"); o.code != 1 || !strings.Contains(o.err, "not found") || strings.TrimSpace(o.out) != "[]" {
		t.Errorf("inspect of a missing one: %+v", o)
	}
}

func TestBadNetworkFlagsAreRefused(t *testing.T) {
	h := newHost(t)
	for args, want := range map[string]string{
		"create --gateway 10.5.0.1 n":                                         "10.5.0.1 is in no --subnet",
		"create --subnet 10.5.0.0 n":                                          `"10.5.0.0": write it as`,
		"create --subnet 10.5.0.0/24 --gateway 10.5.0.1 --gateway 10.5.0.2 n": "has two",
		"create --subnet 10.5.0.0/24 --aux-address 10.5.0.7 n":                "write name=10.5.0.9",
		"create --subnet 10.5.0.0/24 --ip-range x n":                          "invalid value for --ip-range",
		"create -o mtu n":                                                     "write name=value",
		"create --ipv4=false n":                                               "leaves the network without addresses: add --ipv6",
		"create --ipam-driver dhcp n":                                         "not supported yet: --ipam-driver dhcp",
		"create":                                                              "accepts 1 arg(s), received 0\nhint: write `mycompose network create [OPTIONS] NETWORK`",
		"ls --filter colour=red":                                              `invalid filter "colour"`,
		"ls --filter colour":                                                  "write key=value",
		"ls --filter dangling=perhaps":                                        "write true or false",
		"prune -f --filter until=yesterday":                                   "write 24h or",
		"prune -f --filter name=x":                                            `invalid filter "name"`,
		"connect lan":                                                         "accepts 2 arg(s)",
		"conect":                                                              "unknown command",
		"create --subnet 10.5.0.0/24 --ip-range 10.5.0.0/25 --ip-range 10.5.0.128/25 n": "has two",
	} {
		o := h.run(append([]string{"network"}, strings.Fields(args)...)...)
		if o.code == 0 || !strings.Contains(o.err, want) {
			t.Errorf("network %s: code %d, %q lacks %q", args, o.code, o.err, want)
		}
	}
	h.must("network", "create", "n")
	if o := h.run("network", "create", "n"); o.code == 0 || !strings.Contains(o.err, "network with name n already exists") {
		t.Errorf("a second network n: %+v", o)
	}
}

func TestPruneAsksAndFilters(t *testing.T) {
	h := newHost(t)
	h.must("network", "create", "--label", "keep", "a")
	h.must("network", "create", "b")
	if o := h.must("network", "prune"); !strings.Contains(o.out, "WARNING! This will remove all networks") || strings.Contains(o.out, "Deleted") {
		t.Errorf("prune without a person: %+v", o)
	}
	for _, c := range []struct{ args, want string }{
		{"volume prune", "all anonymous volumes not used"}, {"-p shop volume prune -a", "all named and anonymous volumes of project shop not used"},
	} {
		if o := h.must(strings.Fields(c.args)...); !strings.Contains(o.out, c.want) {
			t.Errorf("%s: %+v, want %q", c.args, o, c.want)
		}
	}
	if got := h.must("network", "prune", "-f", "--filter", "label!=keep").out; got != "Deleted Networks:\nb\n\n" {
		t.Errorf("prune: %q", got)
	}
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	r, err := pruneRequest([]string{"until=2h", "label=a=b"}, now)
	if err != nil || !r.Before.Equal(now.Add(-2*time.Hour)) || r.Labels["a"] != "b" {
		t.Errorf("request %+v, %v", r, err)
	}
	old := spec.Network{Name: "old", Labels: map[string]string{"a": "b"}, CreatedAt: now.Add(-3 * time.Hour)}
	young := old
	young.CreatedAt = now
	if !r.Match(old) || r.Match(young) || (client.NetworkPrune{Project: "shop"}).Match(old) {
		t.Error("prune takes the wrong networks")
	}
}
