package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// Raw is a project merged and extended, with its variables still in it.
type Raw struct {
	model map[string]any
}

// Placeholder is one variable of a Raw.
type Placeholder struct {
	Name string
	// Required: some use of it has no default and fails without a value.
	Required bool
	// Default stands in where it is not set, Alternate where it is.
	Default, Alternate string
}

// LoadRaw finds and merges a project and fills no variable in. Values are not
// checked: with variables in them they mean nothing yet.
func LoadRaw(ctx context.Context, opts Options, v View) (*Raw, error) {
	l := newLoader(opts)
	l.view = v
	raw, err := l.raw(ctx)
	if err != nil {
		return nil, l.quote(err)
	}
	return raw, nil
}

func (l *projectLoader) raw(ctx context.Context) (*Raw, error) {
	if err := l.find(); err != nil {
		return nil, err
	}
	files, ok := l.configFiles()
	if err := l.problems.err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("cannot load project in %s: nothing to merge", l.opts.Dir)
	}
	details := types.ConfigDetails{WorkingDir: l.dir, ConfigFiles: files, Environment: maps.Clone(l.env)}
	raw := &Raw{}
	err := safely(func() (err error) {
		raw.model, err = loader.LoadModelWithContext(ctx, details, func(o *loader.Options) {
			o.SetProjectName(l.name, true)
			o.Profiles = l.profiles
			o.SkipInterpolation, o.SkipValidation, o.SkipConsistencyCheck = true, true, true
			o.SkipResolveEnvironment, o.SkipResolveLabels = true, true
			l.view.apply(o)
		})
		return err
	})
	if err != nil {
		l.mergeError(err)
		return nil, l.problems.err()
	}
	return raw, nil
}

// YAML is the project with its keys in alphabetical order.
func (r *Raw) YAML() ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err := encoder.Encode(r.model)
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write the project as YAML: %w", err)
	}
	return b.Bytes(), nil
}

// JSON is the same, indented by 2, without a newline at the end.
func (r *Raw) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(r.model, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot write the project as JSON: %w", err)
	}
	return data, nil
}

// Variables are those that the project uses, sorted by name.
func (r *Raw) Variables() []Placeholder {
	found := template.ExtractVariables(r.model, nil)
	var out []Placeholder
	for _, name := range sortedKeys(found) {
		v := found[name]
		out = append(out, Placeholder{Name: name, Required: v.Required, Default: v.DefaultValue, Alternate: v.PresenceValue})
	}
	return out
}
