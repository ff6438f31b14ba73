package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
)

// endedConn is a connection whose other side has gone.
type endedConn struct{ net.Conn }

func (endedConn) Read([]byte) (int, error)             { return 0, io.EOF }
func (endedConn) Write(data []byte) (n int, err error) { return len(data), nil }

// Of a daemon that dies when a request comes net/http says one thing or another,
// depending on what it was about to do. All of them mean that it is to be asked again.
func TestARequestThatNobodyAnswersIsLostWhateverTheCauseIsCalled(t *testing.T) {
	c := New(Config{RunDir: t.TempDir()})
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			one, other := net.Pipe()
			other.Close()
			return endedConn{one}, nil
		},
	}
	said := map[string]int{}
	for range 5000 {
		err := c.ask(t.Context(), http.MethodPost, "/x", nil, "body", nil)
		if err == nil {
			t.Fatal("it was answered")
		}
		said[err.Error()]++
		if !lost(err) {
			t.Fatalf("not lost: %v (%v)", err, said)
		}
	}
}

// Where nobody listens there was no connection to lose.
func TestWhatWasNeverConnectedIsNotLost(t *testing.T) {
	c := New(Config{RunDir: t.TempDir()})
	if err := c.ask(t.Context(), http.MethodPost, "/x", nil, "body", nil); err == nil || lost(err) {
		t.Errorf("error %v", err)
	}
}
