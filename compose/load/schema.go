package load

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
)

// shape is what the compose specification allows at one place: compose-go's
// exported JSON schema, reduced to what the walk needs.
type shape struct {
	// types are object, array, string, number, integer, boolean, null; empty
	// allows everything.
	types    []string
	keys     map[string]*shape
	patterns []keyPattern
	// closed allows no key beside keys and patterns.
	closed   bool
	items    *shape
	enum     []string
	required []string
	min, max *float64
	oneOf    []*shape
}

// keyPattern allows keys that the user chooses, such as service names.
type keyPattern struct {
	match *regexp.Regexp
	shape *shape
}

// rawShape is the JSON form.
type rawShape struct {
	Ref                   string               `json:"$ref"`
	Type                  any                  `json:"type"`
	Properties            map[string]*rawShape `json:"properties"`
	PatternProperties     map[string]*rawShape `json:"patternProperties"`
	AdditionalProperties  *bool                `json:"additionalProperties"`
	UnevaluatedProperties *bool                `json:"unevaluatedProperties"`
	Items                 *rawShape            `json:"items"`
	Enum                  []string             `json:"enum"`
	Required              []string             `json:"required"`
	Minimum               *float64             `json:"minimum"`
	Maximum               *float64             `json:"maximum"`
	OneOf                 []*rawShape          `json:"oneOf"`
	AllOf                 []*rawShape          `json:"allOf"`
	Defs                  map[string]*rawShape `json:"$defs"`
}

// schemaReader builds shapes; each definition is built once.
type schemaReader struct {
	defs  map[string]*rawShape
	built map[string]*shape
	regex map[string]*regexp.Regexp
}

// readSchema builds the shape of a compose file from a JSON schema.
func readSchema(text string) (*shape, error) {
	var raw rawShape
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fmt.Errorf("cannot read the compose schema: %w", err)
	}
	r := &schemaReader{defs: raw.Defs, built: map[string]*shape{}, regex: map[string]*regexp.Regexp{}}
	return r.build(&raw), nil
}

// composeShape is the shape of compose-go's own schema, which its tests keep
// readable.
func composeShape() *shape {
	s, err := readSchema(schema.Schema)
	if err != nil {
		return &shape{}
	}
	return s
}

func (r *schemaReader) build(raw *rawShape) *shape {
	if raw == nil {
		return nil
	}
	if raw.Ref != "" {
		name := raw.Ref[strings.LastIndex(raw.Ref, "/")+1:]
		if s, ok := r.built[name]; ok {
			return s
		}
		s := &shape{}
		r.built[name] = s
		*s = *r.build(r.defs[name])
		return s
	}
	if slices.Contains(raw.Enum, "sync+exec") {
		raw.Enum = append(slices.Clone(raw.Enum), watchActionExec) // ours: the schema does not have it
	}
	s := &shape{enum: raw.Enum, required: raw.Required, min: raw.Minimum, max: raw.Maximum}
	switch t := raw.Type.(type) {
	case string:
		s.types = []string{t}
	case []any:
		for _, one := range t {
			s.types = append(s.types, fmt.Sprint(one))
		}
	}
	s.items = r.build(raw.Items)
	r.addKeys(s, raw)
	for _, part := range raw.AllOf {
		merged := r.build(part)
		for name, key := range merged.keys {
			s.setKey(name, key)
		}
		s.patterns = append(s.patterns, merged.patterns...)
		if len(s.types) == 0 {
			s.types = merged.types
		}
	}
	for _, part := range raw.OneOf {
		s.oneOf = append(s.oneOf, r.build(part))
	}
	return s
}

func (r *schemaReader) addKeys(s *shape, raw *rawShape) {
	for name, key := range raw.Properties {
		s.setKey(name, r.build(key))
	}
	for expr, key := range raw.PatternProperties {
		if r.regex[expr] == nil {
			r.regex[expr] = regexp.MustCompile(expr)
		}
		s.patterns = append(s.patterns, keyPattern{r.regex[expr], r.build(key)})
	}
	no := func(b *bool) bool { return b != nil && !*b }
	s.closed = no(raw.AdditionalProperties) || no(raw.UnevaluatedProperties)
}

func (s *shape) setKey(name string, key *shape) {
	if s.keys == nil {
		s.keys = map[string]*shape{}
	}
	s.keys[name] = key
}

// alternatives are the shapes of which one must fit.
func (s *shape) alternatives() []*shape {
	if len(s.oneOf) == 0 {
		return []*shape{s}
	}
	var all []*shape
	for _, one := range s.oneOf {
		all = append(all, one.alternatives()...)
	}
	return all
}

// allows says whether a value of the given JSON type may stand here.
func (s *shape) allows(kind string) bool {
	if len(s.types) == 0 || slices.Contains(s.types, kind) {
		return true
	}
	return kind == "integer" && slices.Contains(s.types, "number")
}

// wanted lists the types that may stand here, in words.
func (s *shape) wanted() string {
	var words []string
	for _, one := range s.alternatives() {
		for _, t := range one.types {
			if w := kindWords[t]; t != "null" && !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	}
	if s.truthOrText() {
		return kindWords["boolean"]
	}
	if len(words) == 0 {
		return "a value"
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// truthOrText says whether text stands here only for variables that become true
// or false.
func (s *shape) truthOrText() bool {
	return fitting(s, "boolean") != nil && fitting(s, "string") != nil && fitting(s, "number") == nil && fitting(s, "array") == nil
}

// kindWords are JSON types as a user of YAML knows them.
var kindWords = map[string]string{
	"object": "a mapping", "array": "a list", "string": "text", "number": "a number",
	"integer": "a whole number", "boolean": "true or false", "null": "empty", "date": "a date",
}
