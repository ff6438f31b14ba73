package daemon

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceNothingIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int32
		q := newQuiet(func() { freed.Add(1) })
		defer q.stop()
		handler := q.around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(quietTime / 2) }))
		for range 5 {
			time.Sleep(quietTime / 2)
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		synctest.Wait()
		if freed.Load() != 0 {
			t.Errorf("given back %d times between requests", freed.Load())
		}
		time.Sleep(10 * quietTime)
		if freed.Load() != 1 {
			t.Errorf("given back %d times in a long quiet, want 1", freed.Load())
		}
		q.asked() // an operation ended
		time.Sleep(10 * quietTime)
		if freed.Load() != 2 {
			t.Errorf("given back %d times after two ends, want 2", freed.Load())
		}
	})
}

func TestNoQuietIsFine(t *testing.T) {
	var q *quiet
	q.asked()
}
