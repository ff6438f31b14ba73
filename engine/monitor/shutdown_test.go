package monitor

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/wire"
)

// When the machine goes down the monitor leaves with its container, and a
// container that does not end is killed.
func TestAtShutdownTheMonitorLeavesWithItsContainer(t *testing.T) {
	for _, c := range []struct {
		name, script string
		stdin        bool
		grace        time.Duration
		code         int
	}{
		{"that ends", "exit 7", false, time.Hour, 7},
		{"that does not", "exec sleep 10000", false, time.Millisecond, 137},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			d := r.dial()
			d.start(c.script, c.stdin)
			r.monitor.shutDown(c.grace)
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			r.ended <- nil // the rig waits for it too
			raw, err := os.ReadFile(r.record())
			r.must(err)
			var record wire.MonitorExit
			r.must(json.Unmarshal(raw, &record))
			if record.Code != c.code {
				t.Errorf("record %+v", record)
			}
		})
	}
}
