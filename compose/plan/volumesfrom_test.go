package plan

import (
	"slices"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// lender is a project in which copy has the volumes of reader, which has those of
// store.
func lender() *model.Project {
	from := func(service string) []model.VolumesFrom { return []model.VolumesFrom{{Service: service}} }
	return &model.Project{
		Name: "shop", WorkingDir: "/app",
		Services: map[string]model.Service{
			"store": {Name: "store", Scale: 1, Image: "redis:alpine", NetworkMode: "none",
				Mounts: []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}}},
			"reader": {Name: "reader", Scale: 1, Image: "redis:alpine", NetworkMode: "none", VolumesFrom: from("store")},
			"copy":   {Name: "copy", Scale: 1, Image: "redis:alpine", NetworkMode: "none", VolumesFrom: from("reader")},
		},
		Volumes: map[string]model.Volume{"data": {Key: "data", Name: "shop_data", Driver: "local"}},
	}
}

// Who has the volumes of a container that is made anew is made anew too, and does
// not run if it did not and nobody asks for it.
func TestWhoIsDownFollowsWithoutAStart(t *testing.T) {
	a := standing(t, lender())
	container(t, a, "shop-reader-1").Status = spec.Status{State: spec.StateExited}
	changed := lender()
	store := changed.Services["store"]
	store.User = "nobody"
	changed.Services["store"] = store
	volume := lender()
	volume.Volumes["data"] = model.Volume{Key: "data", Name: "shop_data", Driver: "local", Labels: map[string]string{"a": "b"}}
	for what, p := range map[string]*model.Project{"owner": changed, "volume": volume} {
		got := mustDiff(t, p, a, state.Options{Services: []string{"store"}}, Policy{RecreateVolumes: true})
		if got.Step("create shop-reader-1") == nil || got.Step("start shop-reader-1") != nil || got.Step("start shop-copy-1") == nil {
			t.Errorf("%s made anew: %s", what, got)
		}
		got = mustDiff(t, p, a, state.Options{}, Policy{RecreateVolumes: true})
		if got.Step("start shop-reader-1") == nil {
			t.Errorf("%s made anew, all asked for: %s", what, got)
		}
	}
}

// An owner that is gone and made anew has other volumes than its borrowers.
func TestWhoHasVolumesFollowsAnOwnerThatIsMissing(t *testing.T) {
	a := standing(t, lender())
	a.Containers = slices.DeleteFunc(a.Containers, func(c state.Container) bool { return c.Service == "store" })
	got := mustDiff(t, lender(), a, state.Options{}, Policy{})
	for _, name := range []string{"shop-reader-1", "shop-copy-1"} {
		if got.Step("remove "+name) == nil || got.Step("create "+name) == nil {
			t.Errorf("%s stays: %s", name, got)
		}
	}
	got = mustDiff(t, lender(), a, state.Options{}, Policy{NoRecreate: true})
	if got.Step("create shop-store-1") == nil || got.Step("remove shop-reader-1") != nil {
		t.Errorf("with --no-recreate: %s", got)
	}
}

// A volume is removed once nobody has it, by volumes_from either.
func TestAVolumeMadeAnewWaitsForWhoBorrowsIt(t *testing.T) {
	p := lender()
	p.Volumes["data"] = model.Volume{Key: "data", Name: "shop_data", Driver: "local", Labels: map[string]string{"a": "b"}}
	got := mustDiff(t, p, standing(t, lender()), state.Options{}, Policy{RecreateVolumes: true})
	gone := got.Step("remove volume shop_data")
	if gone == nil {
		t.Fatalf("the volume stays: %s", got)
	}
	for _, name := range []string{"shop-store-1", "shop-reader-1", "shop-copy-1"} {
		if !slices.Contains(gone.After, "remove "+name) {
			t.Errorf("it does not wait for %s: %s", name, got)
		}
	}
}
