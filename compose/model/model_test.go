package model

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fill sets every field of a value to something that is not zero.
func fill(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1<<60 + 1) // does not survive a float64
	case reflect.Uint8:
		v.SetUint('1')
	case reflect.Uint16, reflect.Uint32:
		v.SetUint(65535)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"a":[1,2.5,null]}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), path)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(t, elem, path)
		v.SetMapIndex(reflect.ValueOf("key"), elem)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s: a %s is no plain data", path, v.Kind())
	}
}

func full(t *testing.T) *Project {
	var p Project
	fill(t, reflect.ValueOf(&p).Elem(), "project")
	p.Format = Format
	return &p
}

func TestEveryFieldSurvivesJSON(t *testing.T) {
	want := full(t)
	data, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	again, err := Encode(got)
	if err != nil || !bytes.Equal(again, data) {
		t.Error("equal projects have different bytes", err)
	}
}

func TestCommandKeepsNilApartFromEmpty(t *testing.T) {
	p := &Project{Name: "p", Services: map[string]Service{
		"image": {Name: "image"}, "cleared": {Name: "cleared", Command: []string{}, Entrypoint: []string{}},
	}}
	data, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Services["image"]; s.Command != nil || s.Entrypoint != nil {
		t.Error("nil became empty")
	}
	if s := got.Services["cleared"]; s.Command == nil || s.Entrypoint == nil {
		t.Error("empty became nil")
	}
}

func TestDecodeRefusesAnotherFormat(t *testing.T) {
	for _, data := range []string{`{"format":2,"name":"p"}`, `{"name":"p"}`, `{`} {
		if _, err := Decode([]byte(data)); err == nil {
			t.Errorf("%s was read", data)
		}
	}
}

func TestEveryFieldHasAJSONNameOfItsOwn(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(typ.Elem())
		case reflect.Struct:
			if seen[typ] {
				return
			}
			seen[typ] = true
			names := map[string]bool{}
			for i := range typ.NumField() {
				name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				if name == "" || name == "-" || names[name] {
					t.Errorf("%s.%s has the JSON name %q", typ, typ.Field(i).Name, name)
				}
				names[name] = true
				look(typ.Field(i).Type)
			}
		}
	}
	look(reflect.TypeFor[Project]())
}

func TestWithDependenciesFollowsThem(t *testing.T) {
	on := func(names ...string) []Dependency {
		var out []Dependency
		for _, n := range names {
			out = append(out, Dependency{Service: n})
		}
		return out
	}
	p := &Project{Services: map[string]Service{
		"web": {DependsOn: on("api", "cache")}, "api": {DependsOn: on("db", "gone")}, "cache": {}, "db": {DependsOn: on("web")}, "other": {},
	}}
	for _, tt := range []struct{ names, want []string }{
		{[]string{"web"}, []string{"api", "cache", "db", "web"}},
		{[]string{"cache", "other", "unknown"}, []string{"cache", "other"}},
		{nil, nil},
	} {
		if got := p.WithDependencies(tt.names...); !slices.Equal(got, tt.want) {
			t.Errorf("%v: got %v", tt.names, got)
		}
	}
}

func TestPortsReadLikeTheShortForm(t *testing.T) {
	for want, p := range map[string]Port{
		"80/tcp":                {Target: 80, Protocol: "tcp"},
		"8080:80/tcp":           {Published: 8080, Target: 80, Protocol: "tcp"},
		"8080-8089:80/udp":      {Published: 8080, PublishedEnd: 8089, Target: 80, Protocol: "udp"},
		"127.0.0.1:8080:80/tcp": {HostIP: "127.0.0.1", Published: 8080, Target: 80, Protocol: "tcp"},
		"127.0.0.1::80/tcp":     {HostIP: "127.0.0.1", Target: 80, Protocol: "tcp"},
	} {
		if got := p.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNamesAndImages(t *testing.T) {
	p := &Project{Name: "p", Services: map[string]Service{"b": {Name: "b", Image: "i"}, "a": {Name: "a"}}, Disabled: map[string]Service{"c": {Name: "c"}}}
	if got := p.ServiceNames(); !slices.Equal(got, []string{"a", "b"}) {
		t.Error(got)
	}
	if got := p.ImageName(p.Services["a"]) + " " + p.ImageName(p.Services["b"]); got != "p-a i" {
		t.Error(got)
	}
	if _, ok := p.Service("c"); !ok {
		t.Error("a disabled service is not found")
	}
	if _, ok := p.Service("d"); ok {
		t.Error("an unknown service is found")
	}
	for _, c := range []struct {
		network, pid string
		want         []string
	}{
		{"service:db", "", []string{"db"}}, {"host", "", nil}, {"", "service:web", []string{"web"}},
		{"service:db", "service:web", []string{"db", "web"}}, {"service:db", "service:db", []string{"db"}}, {"", "container:x", nil},
	} {
		if got := (&Service{NetworkMode: c.network, PIDMode: c.pid}).NamespaceServices(); !slices.Equal(got, c.want) {
			t.Errorf("network %q, pid %q: got %s", c.network, c.pid, got)
		}
	}
}
