package e2e

import (
	"strings"
	"testing"
)

// Two folders give their projects one name, and b was brought up last: down in a
// takes what a's file has, also when that is not kept any more, and nothing of b.
func TestDownInOneFolderTakesNothingOfAnother(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dirs := map[string]string{}
	for _, name := range []string{"a", "b"} {
		file := strings.ReplaceAll(`
services:
  in-NAME: {<<: *base, network_mode: none, volumes: ["of-NAME:/data"]}
volumes: {of-NAME: }
`, "NAME", name)
		dirs[name] = h.project(name, map[string]string{"compose.yaml": "name: shop\n" + keyHead + file})
		h.must(dirs[name], "up", "-d")
	}
	left := func(want string) {
		t.Helper()
		if got := words(h.must("", "volume", "ls", "-q")); got != want {
			t.Errorf("left are volumes %q, want %q", got, want)
		}
	}
	h.must(dirs["a"], "down", "-v", "in-a") // no error: the file has it
	left("shop_of-a shop_of-b")
	h.must(dirs["a"], "up", "-d")
	h.must(dirs["b"], "up", "-d")
	h.must(dirs["a"], "down", "-v")
	left("shop_of-b")
	if got := words(h.must("", "-p", "shop", "ps", "--services")); got != "in-b" {
		t.Errorf("services %q are up, want in-b", got)
	}
	h.must(dirs["b"], "down")
	h.must(dirs["a"], "down", "-v")
	left("shop_of-b")
	h.must(dirs["b"], "down", "-v")
	left("")
}
