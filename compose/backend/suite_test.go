package backend

import (
	"context"
	"testing"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestFakeKeepsTheContract(t *testing.T) {
	for _, c := range Suite() {
		t.Run(c.Name, func(t *testing.T) {
			f := NewFake()
			image := f.AddImage("busybox", spec.ImageConfig{})
			s := Subject{
				Backend: f, Image: "busybox", Digest: image.Digest,
				Forever: []string{"sleep"}, Three: []string{"exit", "3"},
				Good: spec.Health{Test: []string{"CMD", "true"}}, Bad: spec.Health{Test: []string{"CMD", "false"}},
			}
			if err := c.Check(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			left, err := f.Containers(t.Context(), "")
			if err != nil || len(left) != 0 {
				t.Fatalf("left behind: %v, %v", left, err)
			}
		})
	}
}

// forgetful breaks one promise: a stop of a stopped container fails.
type forgetful struct{ *Fake }

func (f forgetful) StopContainer(ctx context.Context, id string, how spec.Stop) error {
	status, err := f.WaitContainer(ctx, id, spec.UntilRunning)
	if err != nil {
		return spec.Errorf(spec.ErrNotRunning, "cannot stop: %s", status.State)
	}
	return f.Fake.StopContainer(ctx, id, how)
}

func TestSuiteFindsABrokenPromise(t *testing.T) {
	f := NewFake()
	image := f.AddImage("busybox", spec.ImageConfig{})
	s := Subject{Backend: forgetful{f}, Image: "busybox", Digest: image.Digest, Forever: []string{"sleep"}}
	if err := startStopTwice(t.Context(), s); err == nil {
		t.Fatal("the suite did not notice")
	}
}
