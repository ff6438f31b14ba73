package engine

import (
	"strings"
	"testing"
)

func TestNamesAndIDs(t *testing.T) {
	for name, ok := range map[string]bool{
		"shop-web-1": true, "a": true, "9.x_y": true, strings.Repeat("x", 200): true,
		"": false, ".": false, "-rf": false, "_a": false, "a/b": false, "a b": false, "a\n": false, "é": false,
		strings.Repeat("x", 201): false,
	} {
		if validName(name) != ok {
			t.Errorf("validName(%q) is %v", name, !ok)
		}
	}
	id := strings.Repeat("0123456789abcdef", 4)
	for id, ok := range map[string]bool{
		id: true, id[:63]: false, id + "0": false, id[:63] + "g": false, id[:31] + "G" + id[32:]: false, "": false,
	} {
		if validID(id) != ok {
			t.Errorf("validID(%q) is %v", id, !ok)
		}
	}
}
