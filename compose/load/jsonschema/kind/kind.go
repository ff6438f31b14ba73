// Package kind holds the kinds of findings that compose-go names; see package
// jsonschema. No value of them is ever made.
package kind

import "math/big"

// Type is a value of a wrong type.
type Type struct {
	Got  string
	Want []string
}

// LocalizedString says nothing.
func (*Type) LocalizedString(any) string { return "" }

// Minimum is a number that is too small.
type Minimum struct{ Got, Want *big.Rat }

// LocalizedString says nothing.
func (*Minimum) LocalizedString(any) string { return "" }

// Maximum is a number that is too large.
type Maximum struct{ Got, Want *big.Rat }

// LocalizedString says nothing.
func (*Maximum) LocalizedString(any) string { return "" }

// AdditionalProperties are keys that may not stand there.
type AdditionalProperties struct{ Properties []string }

// LocalizedString says nothing.
func (*AdditionalProperties) LocalizedString(any) string { return "" }
