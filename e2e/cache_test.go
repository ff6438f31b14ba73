package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What one host has built, another takes out of a cache: of a folder, of a
// registry, and out of the image itself.
func TestBuildCachesOfOtherMachines(t *testing.T) {
	r := newRegistryWith(t, "me", "secret")
	r.push("base", "1", busyboxTar(t), imageConfig{}, "")
	name := strings.TrimPrefix(r.url, "http://")
	folder, config := tempDir(t), tempDir(t)
	if err := os.WriteFile(config+"/config.json", []byte(fmt.Sprintf(`{"auths": {"%s": {"username": "me", "password": "secret"}}}`, name)), 0o600); err != nil {
		t.Fatal(err)
	}
	build := func(caches string, args ...string) string {
		t.Helper()
		h := newHost(t)
		h.env = append(h.env, "DOCKER_CONFIG="+config)
		dir := h.project("cached", map[string]string{
			"compose.yaml": "services:\n  app:\n    image: " + name + "/app:1\n    build:\n      context: .\n" + caches,
			"Dockerfile":   "FROM " + name + "/base:1\nRUN cat /proc/sys/kernel/random/uuid > /made\nCMD [\"cat\", \"/made\"]\n",
		})
		h.must(dir, append([]string{"build"}, args...)...)
		return h.must(dir, "run", "--rm", "--no-deps", "app")
	}
	from := func(cache string) string { return "      cache_from: [\"" + cache + "\"]\n" }
	to := func(caches ...string) string { return "      cache_to: [\"" + strings.Join(caches, "\", \"") + "\"]\n" }
	local, remote := "type=local,src="+folder+"/cache", name+"/app:cache"
	// A cache that is not there yet is no mistake.
	first := build(from(local) + to("type=local,dest="+folder+"/cache,mode=max", "type=registry,mode=max,ref="+remote))
	for _, cache := range []string{local, remote} {
		if again := build(from(cache)); again != first {
			t.Errorf("cache_from %s: built anew: %q, not %q", cache, again, first)
		}
	}
	inline := build(to("type=inline"), "--push")
	if inline == first {
		t.Error("without a cache the same was built")
	}
	if again := build(from(name + "/app:1")); again != inline {
		t.Errorf("cache_from of an image with its cache in it: %q, not %q", again, inline)
	}
}
