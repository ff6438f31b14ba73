package cli

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mycompose/mycompose/compose/event"
)

func TestManySyncsAreAFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		words := watchWords{show: func(line string) { got = append(got, line) }}
		sync := func(service string, n int) {
			words.tell(event.Watch{Kind: event.WatchSynced, Service: service, Changes: n, Paths: []string{"src/a.py"}})
		}
		sync("web", 1)
		if len(got) != 1 {
			t.Fatalf("a save is not told at once: %q", got)
		}
		for range 30 {
			sync("web", 10)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(syncPause)
		synctest.Wait()
		sync("web", 2) // held, and told before what comes next
		sync("web", 3)
		words.tell(event.Watch{Kind: event.WatchActs, Action: "restart", Service: "web"})
		sync("api", 1)
		sync("web", 4)
		words.end()
		line := func(service string, n int, more string) string {
			return fmt.Sprintf("Syncing service %q after %d changes were detected (a.py%s)", service, n, more)
		}
		want := []string{
			line("web", 1, ""), line("web", 300, ", …"), line("web", 5, ", …"),
			`Restarting service "web" after changes were detected`, line("api", 1, ""), line("web", 4, ", …"),
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
	})
}
