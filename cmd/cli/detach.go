package cli

import (
	"bytes"
	"fmt"
	"strings"
)

// detachKeys leave a process alone that has our terminal: Ctrl-P Ctrl-Q, as
// docker's.
func detachKeys() []byte { return []byte{'p' & 0x1f, 'q' & 0x1f} }

// parseDetachKeys reads --detach-keys: keys with commas between, each a character
// or ctrl- and one of a–z @ [ \ ] ^ _. None given are the usual ones.
func parseDetachKeys(text string) ([]byte, error) {
	if text == "" {
		return detachKeys(), nil
	}
	var keys []byte
	for key := range strings.SplitSeq(text, ",") {
		control, found := strings.CutPrefix(key, "ctrl-")
		switch {
		case found && len(control) == 1 && strings.Contains("abcdefghijklmnopqrstuvwxyz@[\\]^_", control):
			keys = append(keys, control[0]&0x1f)
		case !found && len(key) == 1:
			keys = append(keys, key[0])
		default:
			return nil, fmt.Errorf("invalid value for --detach-keys: %q is no key: a character, or ctrl- and one of a-z @ [ \\ ] ^ _", key)
		}
	}
	return keys, nil
}

// detacher finds the keys in what is typed, however it comes in pieces. Keys
// that may begin them are held back until the next one tells.
type detacher struct {
	keys []byte // none: it finds nothing
	held int    // how many of them have come
}

// pass returns what is to be passed on, and whether the keys have come: what
// follows them is for nobody.
func (d *detacher) pass(typed []byte) (out []byte, found bool) {
	if len(d.keys) == 0 {
		return typed, false
	}
	if d.held == 0 && bytes.IndexByte(typed, d.keys[0]) < 0 {
		return typed, false
	}
	for _, key := range typed {
		switch {
		case key == d.keys[d.held]:
			d.held++
		default:
			out = append(out, d.keys[:d.held]...)
			if d.held = 0; key == d.keys[0] {
				d.held = 1
			} else {
				out = append(out, key)
			}
		}
		if d.held == len(d.keys) {
			return out, true
		}
	}
	return out, false
}
