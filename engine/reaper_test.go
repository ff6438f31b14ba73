package engine

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestBridgesGoTogetherAndAtOnceIfSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls [][]string
		r := &reaper{log: slog.New(slog.DiscardHandler), remove: func(names ...string) error {
			calls = append(calls, names)
			return nil
		}}
		r.add("a")
		r.add("b", "c")
		synctest.Wait()
		if len(calls) > 0 {
			t.Errorf("removed at once: %v", calls)
		}
		time.Sleep(reaperPause)
		synctest.Wait()
		if fmt.Sprint(calls) != "[[a b c]]" {
			t.Errorf("removed %v", calls)
		}
		r.wait()
		began := time.Now()
		r.add("d")
		r.wait()
		if fmt.Sprint(calls) != "[[a b c] [d]]" || time.Since(began) != 0 {
			t.Errorf("removed %v after %v", calls, time.Since(began))
		}
		r.wait() // nothing runs
	})
}
