package ui

import (
	"testing"
	"time"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

func TestAnExplanationReadsFromStateToCauseToWhatComesNext(t *testing.T) {
	s, out, _ := screen(ModePlain, nil)
	s.Explain(state.Explanation{Service: "web", Containers: []state.Explained{
		{Name: "shop-web-1", State: spec.StateRunning, Health: spec.HealthUnhealthy, Since: now.Add(-3 * time.Minute),
			Why: []string{"its health checks fail"}, Probe: "first\nsecond \x1b[2J", MadeAt: now.Add(-time.Hour),
			MadeBecause: `environment.DEBUG "0" → "1"`, Recreated: true},
		{Name: "shop-web-2", State: spec.StateCreated, MadeAt: now},
	}}, []string{"stop container shop-web-2: scale 2 → 1", "remove container shop-web-2: scale 2 → 1"})
	s.Explain(state.Explanation{Service: "job", Absent: "its scale is 0"}, nil)
	golden(t, "explain", out.Bytes())
}
