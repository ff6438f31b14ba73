package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const objectMagic = "mycompose-object"

// TornError names an object that a power failure (or a foreign hand) damaged.
type TornError struct {
	Word, Name string
	// SetAside is where its remains lie now.
	SetAside string
	Cause    error
}

func (e *TornError) Error() string {
	return fmt.Sprintf("cannot read %s %s: %v (set aside as %s)", e.Word, e.Name, e.Cause, e.SetAside)
}

func (e *TornError) Unwrap() error { return e.Cause }

// NewerError names an object that a newer mycompose wrote.
type NewerError struct {
	Word, Name    string
	Version, Knew int
	// Body is the object's document. Fields that both know may be read, to
	// keep out of its way.
	Body json.RawMessage
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("cannot read %s %s: a newer mycompose wrote it (format %d, this one reads up to %d)",
		e.Word, e.Name, e.Version, e.Knew)
}

var errTorn = errors.New("damaged")

func encode(version int, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	head := objectMagic + " " + strconv.Itoa(version) + " " + hex.EncodeToString(sum[:]) + "\n"
	return append([]byte(head), body...), nil
}

// decode returns the version and the JSON document of an object file: the last
// whole object of one that was added to.
func decode(raw []byte) (version int, body []byte, err error) {
	for at := len(raw); at > 0; {
		at = bytes.LastIndex(raw[:at], []byte(objectMagic+" "))
		if at < 0 {
			break
		}
		if at > 0 && raw[at-1] != '\n' {
			continue
		}
		version, body, next := decodeOne(raw[at:])
		if next == nil {
			return version, body, nil
		}
		if err == nil {
			err = next // that of the last one is the one that matters
		}
	}
	if err == nil {
		err = fmt.Errorf("%w: no header line", errTorn)
	}
	return 0, nil, err
}

// decodeOne decodes the object at the beginning of raw: a line and a document,
// which is one line too.
func decodeOne(raw []byte) (version int, body []byte, err error) {
	head, rest, ok := bytes.Cut(raw, []byte("\n"))
	if !ok {
		return 0, nil, fmt.Errorf("%w: no header line", errTorn)
	}
	fields := strings.Split(string(head), " ")
	if len(fields) != 3 || fields[0] != objectMagic {
		return 0, nil, fmt.Errorf("%w: bad header line", errTorn)
	}
	version, err = strconv.Atoi(fields[1])
	if err != nil || version < 1 {
		return 0, nil, fmt.Errorf("%w: bad version %q", errTorn, fields[1])
	}
	body, _, ended := bytes.Cut(rest, []byte("\n"))
	if ended {
		body = rest[:len(body)+1]
	}
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != fields[2] {
		return 0, nil, fmt.Errorf("%w: checksum does not fit", errTorn)
	}
	return version, body, nil
}
