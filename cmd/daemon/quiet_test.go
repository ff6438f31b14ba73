package daemon

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceNothingIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		freed := 0
		q := newQuiet(func() { freed++ })
		defer q.stop()
		handler := q.around(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(quietTime / 2) }))
		for range 5 {
			time.Sleep(quietTime / 2)
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		synctest.Wait()
		if freed != 0 {
			t.Errorf("given back %d times between requests", freed)
		}
		time.Sleep(10 * quietTime)
		if freed != 1 {
			t.Errorf("given back %d times in a long quiet, want 1", freed)
		}
		q.asked() // an operation ended
		time.Sleep(10 * quietTime)
		if freed != 2 {
			t.Errorf("given back %d times after two ends, want 2", freed)
		}
	})
}

func TestNoQuietIsFine(t *testing.T) {
	var q *quiet
	q.asked()
}
