package engine

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBridgesGoTogetherAndAtOnceIfSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var calls [][]string
		removed := func() string {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(calls)
		}
		r := &reaper{log: slog.New(slog.DiscardHandler), remove: func(names ...string) error {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, names)
			return nil
		}}
		r.add("a")
		r.add("b", "c")
		synctest.Wait()
		if got := removed(); got != "[]" {
			t.Errorf("removed at once: %v", got)
		}
		time.Sleep(reaperPause)
		synctest.Wait()
		if got := removed(); got != "[[a b c]]" {
			t.Errorf("removed %v", got)
		}
		r.wait()
		began := time.Now()
		r.add("d")
		r.wait()
		if got := removed(); got != "[[a b c] [d]]" || time.Since(began) != 0 {
			t.Errorf("removed %v after %v", got, time.Since(began))
		}
		r.wait() // nothing runs
	})
}
