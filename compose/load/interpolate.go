package load

import (
	"errors"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
)

// bareVariable matches $NAME and ${NAME}, the forms without default or error.
var bareVariable = pattern(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)

// substitute fills variables into a text. It records what it looked up and
// warns of variables that are not set and have no default.
func (l *projectLoader) substitute(text string, env map[string]string) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	missing := map[string]bool{}
	lookup := func(name string) (string, bool) {
		l.inputs.variable(name)
		value, ok := env[name]
		if !ok {
			missing[name] = true
		}
		return value, ok
	}
	out, err := template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		for _, m := range bareVariable().FindAllStringSubmatch(strings.ReplaceAll(text, "$$", ""), -1) {
			if name := m[1] + m[2]; missing[name] {
				l.warnings.add("The %q variable is not set. Defaulting to a blank string.", name)
			}
		}
	}
	return out, nil
}

// substituteError puts compose-go's complaint into our form.
func substituteError(text, path string, err error) (message, hint string) {
	var required *template.MissingRequiredError
	if errors.As(err, &required) {
		message = "required variable " + required.Variable + " is missing a value"
		if required.Reason != "" {
			message += ": " + required.Reason
		}
		return message, "set " + required.Variable + " in the environment or in .env (used by " + path + ")"
	}
	return path + " has a $ that begins no variable: " + text, "write ${NAME} or ${NAME:-default}, and $$ for a dollar sign"
}
