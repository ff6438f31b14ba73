package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Message is the body of a frame.
type Message struct {
	// Kind names what is asked or told; empty in an answer.
	Kind string `json:"kind,omitempty"`
	// ID joins a call and its answer; 0 means nobody waits for one.
	ID uint64 `json:"id,omitempty"`
	// Answer marks the answer to the call with the same ID.
	Answer bool `json:"answer,omitempty"`
	// Error is the text of a failed call, Code its machine-readable kind.
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
	// Body depends on Kind. It stays the last field: see decodeQuick.
	Body json.RawMessage `json:"body,omitempty"`
}

// encode writes what json.Marshal would, but for the body, which is JSON already:
// that would be read and written anew, and a start's is some ten thousand bytes.
func (m Message) encode() ([]byte, error) {
	if m.Error != "" || m.Code != "" || !plain(m.Kind) {
		return json.Marshal(m)
	}
	out := make([]byte, 0, len(m.Body)+len(m.Kind)+64)
	out = append(out, '{')
	if m.Kind != "" {
		out = append(append(append(out, `"kind":"`...), m.Kind...), `",`...)
	}
	if m.ID != 0 {
		out = append(strconv.AppendUint(append(out, `"id":`...), m.ID, 10), ',')
	}
	if m.Answer {
		out = append(out, `"answer":true,`...)
	}
	if len(m.Body) > 0 {
		return append(append(append(out, `"body":`...), m.Body...), '}'), nil
	}
	return append(bytes.TrimSuffix(out, []byte{','}), '}'), nil
}

// decode reads a message. The body of one that encode wrote is not looked at:
// whoever reads it does that.
func (m *Message) decode(data []byte) error {
	if m.decodeQuick(data) {
		return nil
	}
	*m = Message{}
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("cannot read message: %w", err)
	}
	return nil
}

// decodeQuick reports whether data has the form that encode gives it.
func (m *Message) decodeQuick(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte{'{'})
	if !ok {
		return false
	}
	if after, found := bytes.CutPrefix(rest, []byte(`"kind":"`)); found {
		kind, next, _ := bytes.Cut(after, []byte{'"'})
		m.Kind = string(kind)
		if !plain(m.Kind) {
			return false
		}
		rest = bytes.TrimPrefix(next, []byte{','})
	}
	if after, found := bytes.CutPrefix(rest, []byte(`"id":`)); found {
		digits := 0
		for digits < len(after) && after[digits] >= '0' && after[digits] <= '9' {
			digits++
		}
		id, err := strconv.ParseUint(string(after[:digits]), 10, 64)
		if err != nil {
			return false
		}
		m.ID = id
		rest = bytes.TrimPrefix(after[digits:], []byte{','})
	}
	if after, found := bytes.CutPrefix(rest, []byte(`"answer":true`)); found {
		m.Answer = true
		rest = bytes.TrimPrefix(after, []byte{','})
	}
	if body, found := bytes.CutPrefix(rest, []byte(`"body":`)); found && len(body) > 1 && body[len(body)-1] == '}' {
		m.Body = body[:len(body)-1]
		return true
	}
	return string(rest) == "}"
}

// plain reports whether a kind needs no escapes.
func plain(kind string) bool {
	for i := range len(kind) {
		if c := kind[i]; (c < 'a' || c > 'z') && c != '-' {
			return false
		}
	}
	return true
}
