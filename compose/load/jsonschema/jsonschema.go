// Package jsonschema stands in for the JSON-schema validator that compose-go's
// schema package names (go.mod replaces that module by this folder).
//
// compose/load checks files by a walk of its own, which gives every mistake a
// place, and asks compose-go to skip its validation. The validator would only
// be linked: 4 to 6 ms of package initialisation in every command and 1.7 MB
// of garbage. What is here has the few names that compose-go compiles against
// and refuses to validate, so that a load that forgot to skip it says so.
package jsonschema

import (
	"encoding/json"
	"errors"
	"io"
)

// ErrNotLinked is what every validation comes to.
var ErrNotLinked = errors.New("cannot validate by JSON schema: the validator is not part of this program, compose/load checks by itself")

// Compiler compiles nothing.
type Compiler struct{}

// NewCompiler returns a compiler.
func NewCompiler() *Compiler { return &Compiler{} }

// AddResource takes no resource.
func (*Compiler) AddResource(string, any) error { return ErrNotLinked }

// RegisterFormat forgets the format.
func (*Compiler) RegisterFormat(*Format) {}

// Compile returns ErrNotLinked.
func (*Compiler) Compile(string) (*Schema, error) { return nil, ErrNotLinked }

// Format is a named check of strings.
type Format struct {
	Name     string
	Validate func(any) error
}

// UnmarshalJSON decodes one JSON value.
func UnmarshalJSON(r io.Reader) (any, error) {
	var v any
	err := json.NewDecoder(r).Decode(&v)
	return v, err
}

// Schema is a compiled schema; there are none.
type Schema struct{}

// Validate returns ErrNotLinked.
func (*Schema) Validate(any) error { return ErrNotLinked }

// ErrorKind is what a validation found; package kind has those that compose-go
// words itself. The argument is a *message.Printer, which nothing here needs.
type ErrorKind interface{ LocalizedString(printer any) string }

// ValidationError is a tree of findings; there are none.
type ValidationError struct {
	InstanceLocation []string
	ErrorKind        ErrorKind
	Causes           []*ValidationError
}

// Error is the text of ErrNotLinked: nothing here makes such a value.
func (*ValidationError) Error() string { return ErrNotLinked.Error() }
