package wire

import (
	"encoding/json"
	"reflect"
	"testing"
)

// A message is what encoding/json makes of it, on both sides: the other end may be
// of another version.
func TestAMessageIsJSON(t *testing.T) {
	for _, m := range []Message{
		{},
		{Kind: "start", ID: 7, Body: json.RawMessage(`{"recipe":{"version":1},"text":"\"}\u2028"}`)},
		{Kind: "exited", Body: json.RawMessage(`[1,{"a":null}]`)},
		{ID: 18446744073709551615, Answer: true},
		{ID: 3, Answer: true, Body: json.RawMessage(`"x"`)},
		{ID: 3, Answer: true, Error: "it \"broke\"", Code: "start-exit-127"},
		{Kind: "wait-exec", ID: 1},
		{Kind: "odd\"kind\n", ID: 2, Body: json.RawMessage(`0`)},
	} {
		data, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		var standard, quick Message
		if err := json.Unmarshal(data, &standard); err != nil {
			t.Errorf("%s: %v", data, err)
		}
		if err := quick.decode(data); err != nil || !reflect.DeepEqual(quick, standard) || !reflect.DeepEqual(quick, m) {
			t.Errorf("%s: read as %+v, %v; encoding/json reads %+v, it was %+v", data, quick, err, standard, m)
		}
		marshalled, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Message
		if err := back.decode(marshalled); err != nil || back.Kind != m.Kind || back.ID != m.ID || back.Error != m.Error {
			t.Errorf("%s: read as %+v, %v", marshalled, back, err)
		}
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, data := range []string{"", "{", "x", `{"kind":"start"`, `{"kind":"a","id":}`, `{"id":-1}`, `{"id":99999999999999999999}`, `{"answer":true,"body"}`, `{"kind":"start","id":1,"body":}`, `[]`} {
		var m Message
		if err := m.decode([]byte(data)); err == nil {
			t.Errorf("%q was read as %+v", data, m)
		}
	}
	for _, data := range []string{` {"id": 4, "kind": "start"}`, `{"id":4,"kind":"start"}`, `{"kind":"start","id":4,"more":true}`} {
		var m Message
		if err := m.decode([]byte(data)); err != nil || m.ID != 4 || m.Kind != "start" {
			t.Errorf("%q: %+v, %v", data, m, err)
		}
	}
}
