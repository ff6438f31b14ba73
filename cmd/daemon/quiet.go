package daemon

import (
	"net/http"
	"time"
)

// quietTime is how long nothing is asked for before memory is given back.
const quietTime = 2 * time.Second

// quiet gives memory back to the system when the daemon has nothing to do: an
// up of 50 services needs 20 MB for a moment, watching them 5.
//
//	asked ──quietTime──▶ given back ──request or operation ends──▶ asked
//
// A nil one does nothing.
type quiet struct{ timer *time.Timer }

func newQuiet(free func()) *quiet { return &quiet{time.AfterFunc(quietTime, free)} }

// asked begins the wait anew.
func (q *quiet) asked() {
	if q != nil {
		q.timer.Reset(quietTime)
	}
}

// around begins the wait anew with each request and its end.
func (q *quiet) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q.asked()
		defer q.asked()
		next.ServeHTTP(w, r)
	})
}

func (q *quiet) stop() { q.timer.Stop() }
