package load

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// lostChildren finds keys that stand beside the mapping they belong to, because
// they are not indented:
//
//	services:
//	web:
//
// It reports the first of each empty mapping, and returns all keys that are told
// with that.
func (w *walker) lostChildren(list []pair, s *shape, at spot) map[*yaml.Node]bool {
	var told map[*yaml.Node]bool
	for i, p := range list {
		value := deref(p.value)
		if told[p.key] || value.ShortTag() != "!!null" {
			continue
		}
		inner, where, known := lookup(s, at, p.key.Value)
		if !known || inner == nil || fitting(inner, "null") != nil {
			continue
		}
		inside := fitting(inner, "object")
		if inside == nil {
			continue
		}
		for _, q := range list[i+1:] {
			if q.key.Line <= p.key.Line || !belongs(q.key.Value, s, inside, at) {
				break
			}
			if told == nil {
				told = map[*yaml.Node]bool{}
			}
			if !told[p.key] {
				w.report(q.key, p.key, where.path,
					fmt.Sprintf("%s stands beside %s, which is empty, and not in it", q.key.Value, where.path), "indent it deeper")
			}
			told[p.key], told[q.key], w.cut[q.key] = true, true, true
			w.cutPaths[join(at.path, q.key.Value)] = true
		}
	}
	return told
}

// belongs says whether a key of the outer mapping makes sense only in the inner
// one.
func belongs(name string, outer, inner *shape, at spot) bool {
	if _, fixed := outer.keys[name]; fixed {
		return false
	}
	if _, fixed := inner.keys[name]; fixed {
		return true
	}
	_, _, inOuter := lookup(outer, at, name)
	_, _, inInner := lookup(inner, at, name)
	return inInner && !inOuter
}
