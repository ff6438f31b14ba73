package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scalarKinds are YAML's tags as JSON types.
var scalarKinds = map[string]string{
	"!!str": "string", "!!int": "integer", "!!float": "number", "!!bool": "boolean",
	"!!null": "null", "!!timestamp": "date", "!!binary": "string",
}

// scalar checks a single value: variables, type, allowed words, format.
func (w *walker) scalar(n, holder *yaml.Node, s *shape, at spot) {
	kind := scalarKinds[n.ShortTag()]
	if kind == "" {
		kind = "string"
	}
	text := n.Value
	filled := false
	if kind == "string" && strings.Contains(text, "$") {
		out, err := w.quietText(n)
		if err != nil {
			message, hint := substituteError(text, at.path, err)
			w.report(n, holder, at.path, message, hint)
			return
		}
		filled, text = true, out
	}
	fit := fitting(s, kind)
	if fit == nil && filled {
		kind, fit = filledKind(s, text)
	}
	if fit == nil {
		w.wrongType(n, holder, s, at, kind)
		return
	}
	w.noteVariable(kind, text, at)
	if kind == "null" {
		return
	}
	if message, hint := w.scalarProblem(kind, text, fit, at); message != "" {
		w.report(n, holder, at.path, message, hint)
	}
}

// filledKind finds the type that a text made from variables has.
func filledKind(s *shape, text string) (string, *shape) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		for _, kind := range []string{"integer", "number"} {
			if fit := fitting(s, kind); fit != nil {
				return kind, fit
			}
		}
	}
	if _, ok := truth(text); ok {
		if fit := fitting(s, "boolean"); fit != nil {
			return "boolean", fit
		}
	}
	return "string", nil
}

// truth reads the words that compose takes for true and false.
func truth(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "y", "yes", "on":
		return true, true
	case "false", "n", "no", "off":
		return false, true
	}
	return false, false
}

// scalarProblem says what is wrong with a value of fitting type; "" if nothing.
func (w *walker) scalarProblem(kind, text string, s *shape, at spot) (message, hint string) {
	if len(s.enum) > 0 && !slices.Contains(s.enum, text) {
		hint := "it must be one of " + strings.Join(s.enum, ", ")
		if near := nearest(text, slices.Values(s.enum)); near != "" {
			hint = "did you mean `" + near + "`?"
		}
		return fmt.Sprintf("%s is %q", at.path, text), hint
	}
	if number, err := strconv.ParseFloat(text, 64); err == nil && kind != "string" {
		if s.min != nil && number < *s.min || s.max != nil && number > *s.max {
			return fmt.Sprintf("%s is %s", at.path, text), "it must be " + limits(s)
		}
	}
	if check, ok := w.checks[at.pattern]; ok {
		switch wrong, right := check(text); wrong {
		case "":
		case notYet:
			return notYet + ": " + at.path + " " + text, right
		default:
			return at.path + ": " + wrong, right
		}
		return "", ""
	}
	if kind != "string" || slices.Contains(s.types, "null") {
		return "", ""
	}
	switch numbers := s.allows("integer"); {
	case len(s.types) == 0:
	case s.allows("boolean") && !numbers:
		if _, ok := truth(text); !ok {
			return fmt.Sprintf("%s is %q", at.path, text), "it must be true or false"
		}
	case numbers && !s.allows("boolean"):
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return fmt.Sprintf("%s is %q", at.path, text), "it must be a number"
		}
	}
	return "", ""
}

func limits(s *shape) string {
	switch {
	case s.min != nil && s.max != nil:
		return fmt.Sprintf("from %g to %g", *s.min, *s.max)
	case s.min != nil:
		return fmt.Sprintf("at least %g", *s.min)
	}
	return fmt.Sprintf("at most %g", *s.max)
}

// noteVariable records names that take the value of the command's environment
// without a dollar sign.
func (w *walker) noteVariable(kind, text string, at spot) {
	switch at.pattern {
	case "services.*.environment.*", "services.*.build.args.*", "services.*.develop.watch[].exec.environment.*":
		if kind == "null" {
			w.inputs.variable(at.path[strings.LastIndexByte(at.path, '.')+1:])
		}
	case "services.*.environment[]", "services.*.build.args[]", "services.*.develop.watch[].exec.environment[]":
		if !strings.Contains(text, "=") {
			w.inputs.variable(text)
		}
	case "secrets.*.environment", "configs.*.environment":
		w.inputs.variable(text)
	}
}
