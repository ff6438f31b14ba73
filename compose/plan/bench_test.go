package plan

import (
	"fmt"
	"testing"

	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
)

// realistic returns a project of n services as people write them.
func realistic(n int) *model.Project {
	p := shop()
	p.Services = map[string]model.Service{}
	for i := range n {
		s := model.Service{
			Name: fmt.Sprintf("s%03d", i), Image: "redis:alpine", Scale: 1,
			Networks:    []model.Attachment{{Network: "back"}, {Network: "default"}},
			Mounts:      []model.Mount{{Type: model.MountVolume, Source: "data", Target: "/data"}, {Type: model.MountBind, Source: "/srv", Target: "/srv"}},
			Ports:       []model.Port{{Published: uint16(10000 + i), Target: 80, Protocol: "tcp"}},
			Healthcheck: &model.Healthcheck{Test: []string{"CMD", "true"}}, Environment: map[string]string{},
			Labels: map[string]string{"a": "b", "c": "d"},
		}
		for j := range 20 {
			s.Environment[fmt.Sprintf("VARIABLE_%d", j)] = "some value of it"
		}
		for j := max(0, i-3); j < i; j++ {
			s.DependsOn = append(s.DependsOn, model.Dependency{Service: fmt.Sprintf("s%03d", j), Condition: model.Healthy, Required: true})
		}
		p.Services[s.Name] = s
	}
	return p
}

// Goal: Want and Diff of 50 services under 5 ms.
func BenchmarkWantAndDiff(b *testing.B) {
	for _, n := range []int{50, 200} {
		p := realistic(n)
		there := standing(b, p)
		fresh := state.Actual{Project: "shop", Images: images}
		b.Run(fmt.Sprintf("%d unchanged", n), func(b *testing.B) {
			for b.Loop() {
				mustDiff(b, p, there, state.Options{}, Policy{})
			}
		})
		b.Run(fmt.Sprintf("%d fresh", n), func(b *testing.B) {
			for b.Loop() {
				mustDiff(b, p, fresh, state.Options{}, Policy{})
			}
		})
	}
}
