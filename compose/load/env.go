package load

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// readEnvFiles adds the variables of --env-file, COMPOSE_ENV_FILES or .env to
// env; what is set already stays.
func (l *projectLoader) readEnvFiles(dir string) error {
	paths := l.absolute(l.opts.EnvFiles)
	if len(paths) == 0 && l.env["COMPOSE_ENV_FILES"] != "" {
		paths = l.absolute(strings.Split(l.env["COMPOSE_ENV_FILES"], ","))
	}
	if len(paths) == 0 {
		if text := l.opts.Env["COMPOSE_DISABLE_ENV_FILE"]; text != "" {
			disabled, err := strconv.ParseBool(text)
			if err != nil {
				return fmt.Errorf("cannot read COMPOSE_DISABLE_ENV_FILE: %q is not true or false", text)
			}
			if disabled {
				return nil
			}
		}
		path := filepath.Join(dir, ".env")
		if !l.inputs.exists(path) {
			return nil
		}
		paths = []string{path}
	}
	for _, path := range paths {
		if !slices.Contains(l.envPaths, path) {
			l.envPaths = append(l.envPaths, path)
		}
	}
	vars, err := l.parseEnvFiles(paths, l.env)
	if err != nil {
		return err
	}
	for name, value := range vars {
		if _, set := l.env[name]; !set {
			l.env[name] = value
		}
	}
	return nil
}

// parseEnvFiles reads files for interpolation; later ones win.
func (l *projectLoader) parseEnvFiles(paths []string, env map[string]string) (map[string]string, error) {
	vars := map[string]string{}
	for _, path := range paths {
		data, err := l.inputs.read(path)
		if err != nil {
			return nil, Errors{{
				Position: Position{File: l.shown(path)},
				Message:  "cannot read env file: " + cause(err),
				Hint:     "name an existing file",
			}}
		}
		lookup := func(name string) (string, bool) {
			l.inputs.variable(name)
			if value, ok := env[name]; ok {
				return value, true
			}
			value, ok := vars[name]
			return value, ok
		}
		if err := dotenv.ParseWithFormat(bytes.NewReader(data), path, vars, lookup, ""); err != nil {
			return nil, Errors{l.envFileError(path, data, err)}
		}
	}
	return vars, nil
}

var lineNumber = pattern(`line (\d+)`)

// envFileError gives the parser's complaint a place.
func (l *projectLoader) envFileError(path string, data []byte, err error) Error {
	at := Position{File: l.shown(path)}
	if m := lineNumber().FindStringSubmatch(err.Error()); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		at.Column = 1
	}
	text := strings.TrimPrefix(err.Error(), "failed to read "+path+": ")
	text = strings.TrimPrefix(text, fmt.Sprintf("line %d: ", at.Line))
	return Error{Position: at, Message: "cannot read env file: " + text, Hint: "write NAME=value, one on a line"}
}
