package load

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoFile is returned (wrapped) when no compose file was named or found.
var ErrNoFile = errors.New("no configuration file provided: not found")

// Position is a place in a file; Line and Column count from 1. The zero value
// is an unknown place.
type Position struct {
	// File is relative to Options.Dir when it lies in it, else absolute;
	// "<stdin>" for standard input.
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// String is file:line:column, as editors and compilers write it.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Error is one mistake in the input.
type Error struct {
	Position
	// Path is the key path, for example services.web.ports[0]; empty for syntax.
	Path string
	// Message says what is wrong, Hint what would be right.
	Message, Hint string
	// Source is the text of the line in a compose file, without its end; empty
	// for other files, which may hold what is secret.
	Source string
}

// Error is one line: file:line:column: message; hint.
func (e Error) Error() string {
	text := e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	if where := e.Position.String(); where != "" {
		return where + ": " + text
	}
	return text
}

// Errors is every mistake found, in the order of files, lines and columns.
type Errors []Error

// Error is one line per mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// problems collects mistakes; one in an anchor is told once, however often the
// anchor is used.
type problems struct {
	list  []Error
	files []string
	seen  map[string]bool
}

func (p *problems) add(at Position, path, message, hint string) {
	last, _, _ := strings.Cut(path[strings.LastIndexByte(path, '.')+1:], "[")
	key := at.String() + "\x00" + last + "\x00" + hint
	if path != "" { // one that differs for each user of an anchor
		key = strings.ReplaceAll(key, path, "")
	}
	if at.Line == 0 {
		key += "\x00" + message
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if p.seen[key] {
		return
	}
	p.seen[key] = true
	if !slices.Contains(p.files, at.File) {
		p.files = append(p.files, at.File)
	}
	p.list = append(p.list, Error{Position: at, Path: path, Message: message, Hint: hint})
}

// err returns the sorted Errors, or nil if there are none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	out := slices.Clone(p.list)
	slices.SortStableFunc(out, func(a, b Error) int {
		return cmp.Or(
			cmp.Compare(slices.Index(p.files, a.File), slices.Index(p.files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	return Errors(out)
}

// forget takes back what was said of a key and what is below it, as far as the
// message begins like this.
func (p *problems) forget(path, message string) {
	p.list = slices.DeleteFunc(p.list, func(e Error) bool {
		return (e.Path == path || below(e.Path, path)) && strings.HasPrefix(e.Message, message)
	})
}
