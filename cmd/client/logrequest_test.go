package client

import (
	"errors"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

func TestALogRequestArrivesAsItWasSent(t *testing.T) {
	sent := LogRequest{
		Project: "shop", Services: []string{"web", "db"}, Containers: []string{"c1"}, Index: 2, OneOff: true, Follow: true, Stay: true,
		Told: map[string]time.Time{"c1": time.Unix(5, 7), "c2": time.Unix(6, 0)},
		Tail: 3, Since: time.Unix(1, 2), Until: time.Unix(3, 4),
	}
	got, err := ParseLogRequest(sent.query())
	if err != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, q := range []url.Values{{"told": {"c1"}}, {"told": {"c1@x"}}, {"tail": {"many"}}} {
		if _, err := ParseLogRequest(q); !errors.Is(err, spec.ErrInvalid) {
			t.Errorf("%v: %v", q, err)
		}
	}
}
