package engine

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestCallsThatComeMeanwhileGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gather
		var rounds [][]string
		bad := errors.New("bad")
		call := func(words []string) error {
			time.Sleep(time.Second)
			rounds = append(rounds, words)
			if slices.Contains(words, "7") {
				return bad
			}
			return nil
		}
		var failed []string
		var mu sync.Mutex
		var calling sync.WaitGroup
		for i := range 10 {
			calling.Go(func() {
				word := strconv.Itoa(i)
				if err := g.do(word, call); errors.Is(err, bad) {
					mu.Lock()
					failed = append(failed, word)
					mu.Unlock()
				}
			})
			if i == 0 {
				synctest.Wait() // the first is under way
			}
		}
		calling.Wait()
		if len(rounds) != 2 || len(rounds[0]) != 1 || len(rounds[1]) != 9 {
			t.Errorf("rounds are %q", rounds)
		}
		if len(failed) != 9 {
			t.Errorf("%q heard of the failure of their call", failed)
		}
	})
}
