package cli

import (
	"bytes"
	"testing"
)

func TestDetachKeysAreFoundHoweverTheyCome(t *testing.T) {
	for _, c := range []struct {
		typed []string
		out   string
		found bool
	}{
		{[]string{"ab"}, "ab", false},
		{[]string{"a\x10\x11b"}, "a", true},
		{[]string{"a\x10", "\x11"}, "a", true},
		{[]string{"\x10", "b"}, "\x10b", false},
		{[]string{"\x10\x10\x11"}, "\x10", true},
		{[]string{"\x11\x10"}, "\x11", false},
	} {
		d := &detacher{keys: detachKeys()}
		var out []byte
		found := false
		for _, piece := range c.typed {
			more, end := d.pass([]byte(piece))
			out, found = append(out, more...), found || end
		}
		if string(out) != c.out || found != c.found {
			t.Errorf("%q: %q, %v", c.typed, out, found)
		}
	}
}

func TestDetachKeysAreRead(t *testing.T) {
	for text, want := range map[string]string{"": "\x10\x11", "ctrl-a,d": "\x01d", "ctrl-@,ctrl-_": "\x00\x1f"} {
		if got, err := parseDetachKeys(text); err != nil || !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"ctrl-", "ctrl-aa", "ab", "a,,b", "ctrl-1"} {
		if got, err := parseDetachKeys(text); err == nil {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}
