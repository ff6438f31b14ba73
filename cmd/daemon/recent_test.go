package daemon

import "testing"

func TestRecentKeepsWhatWasUsedLast(t *testing.T) {
	var r recent[int]
	if _, ok := r.get("a"); ok {
		t.Error("an empty one has a value")
	}
	for i, key := range []string{"a", "b", "c", "d"} {
		r.put(key, i)
	}
	r.get("a")
	r.put("e", 4) // b was used longest ago
	r.put("c", 22)
	r.drop("d")
	r.drop("nosuch")
	want := map[string]int{"a": 0, "c": 22, "e": 4}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		got, ok := r.get(key)
		if expected, there := want[key]; ok != there || got != expected {
			t.Errorf("%s: %d, %v", key, got, ok)
		}
	}
}
