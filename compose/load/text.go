package load

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxDepth bounds how deep values lie in each other; the specification needs
// eight levels.
const maxDepth = 100

// textError finds the first character that no YAML file may hold; an empty
// message if there is none. Files in UTF-16 are the parser's business.
func textError(data []byte) (at Position, message, hint string) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return Position{}, "", ""
	}
	at = Position{Line: 1, Column: 1}
	rest := bytes.TrimPrefix(data, []byte("\ufeff"))
	for len(rest) > 0 {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return at, fmt.Sprintf("the byte 0x%02x is not UTF-8", rest[0]), "save the file as UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return at, fmt.Sprintf("the control character 0x%02x is not allowed", r), `take it away, or write "\x` + fmt.Sprintf("%02x", r) + `" in double quotes`
		case r == '\n':
			at.Line, at.Column = at.Line+1, 0
		}
		at.Column++
		rest = rest[size:]
	}
	return Position{}, "", ""
}

// tooDeep is the first node below maxDepth, nil if there is none.
func tooDeep(n *yaml.Node, depth int) *yaml.Node {
	if depth > maxDepth {
		return n
	}
	for _, c := range n.Content {
		if deep := tooDeep(c, depth+1); deep != nil {
			return deep
		}
	}
	return nil
}
