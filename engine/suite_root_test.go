package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/backend"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestEngineIsABackend(t *testing.T) {
	r := newRig(t)
	var b backend.Backend = r.engine
	subject := backend.Subject{
		Backend: b, Image: testImage, Digest: "sha256:" + strings.Repeat("ab", 32),
		Forever: []string{"/bin/sh", "-c", forever}, Three: []string{"/bin/sh", "-c", "exit 3"},
		Good: spec.Health{Test: []string{"CMD", "true"}},
		Bad:  spec.Health{Test: []string{"CMD", "false"}, Interval: 10 * time.Millisecond, Retries: 1},
	}
	for _, c := range backend.Suite() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := c.Check(ctx, subject); err != nil {
				t.Error(err)
			}
		})
	}
}
