package plan

import (
	"slices"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Folders A and B give their projects one name, and B was brought up last: what
// A takes down is what A's file has, whether B's is kept or no file is.
func TestDownTakesNothingOfAnotherFolder(t *testing.T) {
	other := &model.Project{
		Name: "shop", WorkingDir: "/other",
		Services: map[string]model.Service{"web": {Name: "web", Build: &model.Build{}, Image: "other-web"}, "mail": {Name: "mail", Build: &model.Build{}}},
		Volumes:  map[string]model.Volume{"mail": {Key: "mail", Name: "shop_mail"}},
	}
	a := standing(t, shop())
	a.Volumes["shop_mail"] = spec.Volume{Name: "shop_mail", Labels: map[string]string{state.LabelProject: "shop"}}
	mail := *container(t, a, "shop-redis-1")
	mail.Service, mail.Blueprint.Name = "mail", "shop-mail-1"
	a.Containers = append(a.Containers, mail)

	for name, stored := range map[string]*model.Project{"kept": other, "forgotten": nil} {
		t.Run(name, func(t *testing.T) {
			s := Scope{Project: stored, File: shop().Outline()}
			got, err := Down(a, s, DownOptions{Volumes: true, Images: "local"})
			if err != nil {
				t.Fatal(err)
			}
			for step, want := range map[string]bool{
				"remove volume shop_data": true, "remove volume shop_mail": false,
				"remove image shop-web": true, "remove image shop-mail": false,
				"remove shop-redis-1": true, "remove shop-mail-1": false,
			} {
				if there := got.Step(step) != nil; there != want {
					t.Errorf("step %s: %v, want %v", step, there, want)
				}
			}
			s.Services = []string{"redis"}
			if _, err := Down(a, s, DownOptions{}); err != nil {
				t.Errorf("a service of the caller's file: %v", err)
			}
			s.Services = []string{"mail"}
			if _, err := Down(a, s, DownOptions{}); err == nil {
				t.Error("a service of the other file: no error")
			}
			s.Services, s.Orphans = nil, true
			got, err = Down(a, s, DownOptions{Volumes: true})
			if err != nil || got.Step("remove shop-mail-1") == nil || got.Step("remove volume shop_mail") != nil {
				t.Errorf("with orphans: %v, %v", got, err)
			}
		})
	}
}

// A file that was edited since up still takes down what was brought up from it.
func TestDownOfAnEditedFileTakesWhatItHadToo(t *testing.T) {
	edited := shop()
	delete(edited.Services, "worker")
	delete(edited.Volumes, "data")
	got, err := Down(standing(t, shop()), Scope{Project: shop(), File: edited.Outline()}, DownOptions{Volumes: true})
	if err != nil || got.Step("remove shop-worker-1") == nil || got.Step("remove volume shop_data") == nil {
		t.Errorf("%v, %v", got, err)
	}
	if services := edited.Outline().Services; !slices.Equal(services, []string{"migrate", "redis", "web"}) {
		t.Errorf("services %v", services)
	}
}
