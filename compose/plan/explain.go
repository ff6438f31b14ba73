package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// explain says in a user's words why a container is not as wanted; nothing
// means that it is. owners are the containers whose namespaces the wanted one
// shares.
func explain(have, want spec.Blueprint, owners []*replica) []string {
	var causes []string
	if want.ImageDigest != "" && have.ImageDigest != want.ImageDigest {
		causes = append(causes, "image digest changed")
	}
	gone := sameNamespaces(&have, want, owners)
	if hash := have.Labels[state.LabelHash]; hash != "" && hash == want.Labels[state.LabelHash] {
		for _, n := range gone {
			causes = append(causes, "it shares the "+n.Noun+" of a container that is gone")
		}
		return causes
	}
	return append(causes, fields(canonical(have, want), canonical(want, want))...)
}

// canonical takes away what does not count in a comparison with want: what
// compose writes itself, and volumes taken over from a predecessor.
func canonical(b, want spec.Blueprint) spec.Blueprint {
	b.ID, b.ImageDigest, b.Project = "", "", ""
	b.Labels = state.UserLabels(b.Labels)
	b.Log.Replica = ""
	b.Networks = slices.Clone(b.Networks)
	for i := range b.Networks {
		b.Networks[i].LeaseKey = ""
	}
	mounts := make([]spec.Mount, 0, len(b.Mounts))
	for _, m := range b.Mounts {
		if m.Type == spec.MountVolume && anonymous(m.Source) {
			m.Source = ""
			if !slices.ContainsFunc(want.Mounts, func(w spec.Mount) bool { return w.Target == m.Target }) {
				continue
			}
		}
		mounts = append(mounts, m)
	}
	b.Mounts = mounts
	return b
}

// words maps fields of engine/spec to keys of a compose file.
func words(path string) string {
	first, rest, _ := strings.Cut(path, ".")
	names := map[string]string{
		"mounts": "volumes", "files": "files", "health": "healthcheck", "terminal": "tty",
		"readOnlyRoot": "read_only", "stopGrace": "stop_grace_period", "extraHosts": "extra_hosts",
		"name": "container_name", "log": "logging", "readOnly": "read_only", "unset": "environment (unset)",
	}
	if name, ok := names[first]; ok {
		first = name
	} else {
		first = snake(first)
	}
	if rest == "" {
		return first
	}
	if first != "environment" && first != "labels" && first != "sysctls" && first != "ulimits" {
		i := strings.LastIndexByte(rest, '.') + 1 // before it may stand a path
		rest = rest[:i] + snake(rest[i:])
	}
	return first + "." + rest
}

// snake turns stopSignal into stop_signal.
func snake(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// fields compares two values of engine/spec field by field.
func fields(have, want any) []string {
	a, b := map[string]string{}, map[string]string{}
	flatten(a, "", plain(have))
	flatten(b, "", plain(want))
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		x, inA := a[key]
		y, inB := b[key]
		if x == y && inA == inB {
			continue
		}
		out = append(out, change(key, x, inA, y, inB))
	}
	return out
}

// change words one difference.
func change(key, x string, inA bool, y string, inB bool) string {
	if target, ok := strings.CutPrefix(key, "files."); ok {
		if path, ok := strings.CutSuffix(target, ".digest"); ok && inA && inB {
			return path + ": content changed"
		}
	}
	if key == "postStart" || key == "preStop" {
		return words(key) + " changed" // hooks have an environment of their own
	}
	if target, ok := strings.CutPrefix(key, "environment."); ok && secretive(target) {
		return "environment." + target + " changed"
	}
	x, y = readable(key, x), readable(key, y)
	name := words(key)
	switch {
	case !inA && y == "true":
		return name + " false → true"
	case !inB && x == "true":
		return name + " true → false"
	case !inA:
		return fmt.Sprintf("%s set to %s", name, y)
	case !inB:
		return fmt.Sprintf("%s %s removed", name, x)
	}
	return fmt.Sprintf("%s %s → %s", name, x, y)
}

// secretive reports whether a variable's name says that its value is not for
// everybody's eyes.
func secretive(name string) bool {
	upper := strings.ToUpper(name)
	for _, word := range []string{"PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL"} {
		if strings.Contains(upper, word) {
			return true
		}
	}
	return false
}

// readable turns nanoseconds into 1m30s where the field is a duration, and cuts
// long values.
func readable(key, value string) string {
	switch {
	case key == "stopGrace", key == "restart.delay", key == "restart.window", strings.HasPrefix(key, "health."):
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && key != "health.retries" {
			return time.Duration(n).String()
		}
	}
	const most = 60
	if runes := []rune(value); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return value
}

// plain turns a value into maps, lists and scalars.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		panic("plan: engine/spec does not marshal: " + err.Error())
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		panic("plan: " + err.Error())
	}
	return out
}

// flatten writes the scalars of a value under their paths. Lists of things with
// a target, a network or a name are keyed by that; other lists are one value.
func flatten(into map[string]string, path string, v any) {
	join := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(into, join(key), value)
		}
	case []any:
		if keys := keysOf(v); keys != nil {
			for i, key := range keys {
				flatten(into, join(key), v[i])
			}
			return
		}
		into[path] = compact(v)
	case nil:
	default:
		into[path] = compact(v)
	}
}

// keysOf returns what the things in a list are called, or nil.
func keysOf(list []any) []string {
	seen := map[string]bool{}
	var keys []string
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil
		}
		key, _ := m["target"].(string)
		if key == "" {
			key, _ = m["network"].(string)
		}
		if key == "" || seen[key] {
			return nil
		}
		seen[key] = true
		keys = append(keys, key)
	}
	return keys
}

func compact(v any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("plan: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
