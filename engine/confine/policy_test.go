package confine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestCapabilitiesOfAPolicy(t *testing.T) {
	all := func() (n []uint) {
		for i := range uint(41) {
			n = append(n, i)
		}
		return n
	}
	defaults := []uint{0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
	without := func(from []uint, drop uint) []uint {
		return slices.DeleteFunc(slices.Clone(from), func(n uint) bool { return n == drop })
	}
	for _, test := range []struct {
		name   string
		policy Policy
		want   []uint
	}{
		{"nothing said is dockerd's default", Policy{}, defaults},
		{"one is added", Policy{CapAdd: []string{"NET_ADMIN"}}, []uint{0, 1, 3, 4, 5, 6, 7, 8, 10, 12, 13, 18, 27, 29, 31}},
		{"prefix and case do not matter", Policy{CapAdd: []string{"cap_net_admin"}}, []uint{0, 1, 3, 4, 5, 6, 7, 8, 10, 12, 13, 18, 27, 29, 31}},
		{"one is dropped", Policy{CapDrop: []string{"MKNOD"}}, without(defaults, 27)},
		{"all are dropped but one", Policy{CapDrop: []string{"ALL"}, CapAdd: []string{"CHOWN"}}, []uint{0}},
		{"all are added but one", Policy{CapAdd: []string{"all"}, CapDrop: []string{"SYS_ADMIN"}}, without(all(), 21)},
		{"privileged has all", Policy{Privileged: true, CapDrop: []string{"CHOWN"}}, all()},
	} {
		got, err := capabilities(test.policy)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v, want %v", test.name, got, err, test.want)
		}
	}
	for _, wrong := range []Policy{
		{CapAdd: []string{"NET_ADMINS"}}, {CapDrop: []string{""}}, {CapAdd: []string{"ALL"}, CapDrop: []string{"ALL"}},
	} {
		if got, err := capabilities(wrong); !errors.Is(err, spec.ErrInvalid) {
			t.Errorf("%+v: %v, %v, want an error", wrong, got, err)
		}
	}
}

func TestApplyFillsTheRecipe(t *testing.T) {
	c := &Confiner{held: 1<<41 - 1}
	for _, test := range []struct {
		name                       string
		kind                       recipe.Kind
		uid                        uint32
		policy                     Policy
		seccomp, permitted, masked bool
	}{
		{"root gets permitted capabilities", recipe.KindContainer, 0, Policy{}, true, true, true},
		{"another user has them in the bounding set only", recipe.KindContainer, 1000, Policy{}, true, false, true},
		{"an exec masks nothing again but has its filter", recipe.KindExec, 0, Policy{}, true, true, false},
		{"unconfined only when asked for", recipe.KindContainer, 0, Policy{Seccomp: "unconfined"}, false, true, true},
		{"privileged is neither filtered nor masked", recipe.KindContainer, 0, Policy{Privileged: true}, false, true, false},
	} {
		r := &recipe.Recipe{Kind: test.kind, Process: recipe.Process{UID: test.uid}}
		if err := c.Apply(r, test.policy); err != nil {
			t.Fatal(err)
		}
		p := r.Process
		if len(p.Seccomp) > 0 != test.seccomp || len(p.Permitted) > 0 != test.permitted || len(r.MaskedPaths) > 0 != test.masked {
			t.Errorf("%s: seccomp %d bytes, permitted %v, masked %v", test.name, len(p.Seccomp), p.Permitted, r.MaskedPaths)
		}
		if len(p.Bounding) == 0 || len(p.Ambient) > 0 || len(p.Inheritable) > 0 {
			t.Errorf("%s: bounding %v, ambient %v, inheritable %v", test.name, p.Bounding, p.Ambient, p.Inheritable)
		}
	}
	if err := c.Apply(&recipe.Recipe{}, Policy{Seccomp: "unconfinde"}); !errors.Is(err, spec.ErrInvalid) {
		t.Errorf("a misspelt profile: %v, want an error", err)
	}
}

func TestACapabilityThatTheMachineLacksIsAnErrorByNameOnly(t *testing.T) {
	c := &Confiner{held: 1<<41 - 1 - 1<<24} // without SYS_RESOURCE
	err := c.Apply(&recipe.Recipe{}, Policy{CapAdd: []string{"SYS_RESOURCE"}})
	if !errors.Is(err, spec.ErrUnavailable) || !strings.Contains(err.Error(), "SYS_RESOURCE") {
		t.Errorf("by name: %v", err)
	}
	r := &recipe.Recipe{}
	if err := c.Apply(r, Policy{Privileged: true}); err != nil || slices.Contains(r.Process.Bounding, 24) {
		t.Errorf("privileged: %v, %v", err, r.Process.Bounding)
	}
}

func TestSysctlsOfTheHostAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		shared Shared
		ok     bool
	}{
		{"net.ipv4.ip_forward", Shared{}, true},
		{"net/ipv4/conf/eth0.100/forwarding", Shared{}, true},
		{"net.ipv4.ip_forward", Shared{Network: true}, false},
		{"kernel.shmmax", Shared{}, true},
		{"kernel.shmmax", Shared{IPC: true}, false},
		{"fs.mqueue.msg_max", Shared{}, true},
		{"kernel.domainname", Shared{UTS: true}, false},
		{"kernel.core_pattern", Shared{}, false},
		{"kernel.shmmaxx", Shared{}, false},
		{"vm.swappiness", Shared{}, false},
		{"net/../kernel/core_pattern", Shared{}, false},
		{"", Shared{}, false},
	} {
		if err := CheckSysctl(test.name, test.shared); (err == nil) != test.ok {
			t.Errorf("%q with %+v: %v", test.name, test.shared, err)
		}
	}
}

func TestUlimitsAreChecked(t *testing.T) {
	got, err := Rlimits(map[string]spec.Ulimit{"nproc": {Soft: 10, Hard: -1}, "nofile": {Soft: 1024, Hard: 2048}})
	want := []recipe.Rlimit{{Type: "nofile", Soft: 1024, Hard: 2048}, {Type: "nproc", Soft: 10, Hard: ^uint64(0)}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for name, u := range map[string]spec.Ulimit{
		"nofiles": {Soft: 1, Hard: 1}, "nofile": {Soft: 2, Hard: 1}, "core": {Soft: -1, Hard: 1}, "cpu": {Soft: -2, Hard: -2},
	} {
		if _, err := Rlimits(map[string]spec.Ulimit{name: u}); !errors.Is(err, spec.ErrInvalid) {
			t.Errorf("%s %+v: %v, want an error", name, u, err)
		}
	}
}
