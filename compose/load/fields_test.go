package load

import (
	"bytes"
	"context"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/mycompose/mycompose/compose/model"
)

// typePaths lists the keys of a compose-go type as patterns. It does not look
// into a key that is not supported.
func typePaths(t reflect.Type, path string, into func(string) bool, add func(string)) {
	switch t.Kind() {
	case reflect.Pointer:
		typePaths(t.Elem(), path, into, add)
	case reflect.Slice:
		typePaths(t.Elem(), path+"[]", into, add)
	case reflect.Map:
		if elem := t.Elem(); elem.Kind() == reflect.Struct || elem.Kind() == reflect.Pointer && elem.Elem().Kind() == reflect.Struct {
			typePaths(elem, path+".*", into, add)
		}
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case !f.IsExported() || name == "-" || name == "#extensions" || f.Type == reflect.TypeFor[types.Extensions]():
			case f.Anonymous && strings.Contains(options, "inline"):
				typePaths(f.Type, path, into, add)
			default:
				if name == "" {
					name = strings.ToLower(f.Name)
				}
				key := join(path, name)
				add(key)
				if into(key) {
					typePaths(f.Type, key, into, add)
				}
			}
		}
	}
}

func TestEveryFieldIsMappedOrRefused(t *testing.T) {
	supported, idle := supportedKeys(), idleKeys()
	var refused []string
	known := map[string]bool{}
	typePaths(reflect.TypeFor[types.Project](), "", func(p string) bool { return supported[p] }, func(p string) {
		known[p] = true
		if !supported[p] && idle[p] == "" {
			refused = append(refused, p)
		}
	})
	slices.Sort(refused)
	// A field that is new in compose-go shows up here: map it, or refuse it on
	// purpose by recording this file again.
	golden(t, "testdata/refused.txt", strings.Join(refused, "\n")+"\n")

	// These exist in the file format only.
	for p := range keySet(`version include include[].path include[].env_file include[].project_directory
		networks.*.external.name volumes.*.external.name`) {
		known[p] = true
	}
	for p := range supported {
		if !known[p] {
			t.Errorf("%s is supported but no key of compose-go's types", p)
		}
	}
}

// occurrence is a place where a supported key stands.
type occurrence struct {
	parent *yaml.Node
	index  int
}

// occurrences finds the first place of every key that the schema fixes.
func occurrences(n *yaml.Node, s *shape, at spot, found map[string]occurrence) {
	if s == nil {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		fit := fitting(s, "object")
		for i := 0; fit != nil && i+1 < len(n.Content); i += 2 {
			key, where, _ := lookup(fit, at, n.Content[i].Value)
			if _, ok := found[where.pattern]; !ok {
				found[where.pattern] = occurrence{n, i}
			}
			occurrences(n.Content[i+1], key, where, found)
		}
	case yaml.SequenceNode:
		if fit := fitting(s, "array"); fit != nil {
			for i, c := range n.Content {
				occurrences(c, fit.items, at.item(i), found)
			}
		}
	}
}

// withoutEffect are the supported keys that have no field in the model: they
// say how to read the file, say what is the default, or mean nothing on Linux.
const withoutEffect = `version include include[].path include[].env_file include[].project_directory
services.*.extends services.*.extends.service services.*.extends.file
services.*.env_file[].required services.*.build.platforms services.*.volumes[].consistency services.*.deploy.mode
services.*.platform services.*.runtime services.*.cgroup services.*.userns_mode
networks.*.ipam.driver networks.*.driver networks.*.enable_ipv4 volumes.*.driver
networks.*.external.name volumes.*.external.name`

// withoutPlaces forgets where things stand in their file.
func withoutPlaces(p *model.Project) {
	for key, n := range p.Networks {
		n.Where = ""
		p.Networks[key] = n
	}
	for key, v := range p.Volumes {
		v.Where = ""
		p.Volumes[key] = v
	}
	for _, services := range []map[string]model.Service{p.Services, p.Disabled} {
		for name, s := range services {
			if s.Build != nil {
				b := *s.Build
				b.Where = ""
				s.Build = &b
				services[name] = s
			}
		}
	}
}

func TestEverySupportedKeyReachesTheModel(t *testing.T) {
	dir := "testdata/right/rich"
	opts := caseOptions(t, dir)
	data := read(t, filepath.Join(dir, "compose.yaml"))
	load := func(text []byte) string {
		opts.Files, opts.Stdin = []string{"-"}, bytes.NewReader(text)
		r, err := Load(context.Background(), opts)
		if err != nil {
			return err.Error() // noticed, too
		}
		withoutPlaces(r.Project)
		out, err := model.Encode(r.Project)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	whole := load(data)
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	found := map[string]occurrence{}
	occurrences(root.Content[0], composeShape(), spot{}, found)
	skip := keySet(withoutEffect)
	for _, path := range sortedKeys(supportedKeys()) {
		if skip[path] {
			continue
		}
		at, ok := found[path]
		if !ok {
			t.Errorf("%s does not stand in %s", path, dir)
			continue
		}
		pair := slices.Clone(at.parent.Content[at.index : at.index+2])
		at.parent.Content = slices.Delete(at.parent.Content, at.index, at.index+2)
		without, err := yaml.Marshal(&root)
		at.parent.Content = slices.Insert(at.parent.Content, at.index, pair...)
		if err != nil {
			t.Fatal(err)
		}
		if load(without) == whole {
			t.Errorf("the model is the same without %s", path)
		}
	}
}
