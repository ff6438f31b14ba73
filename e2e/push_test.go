package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// push sends what was built to its registry, all its tags, with the user's
// login; what comes back from there is the same, and layers are compressed.
func TestPush(t *testing.T) {
	h := newHost(t)
	h.busybox()
	r := newRegistryWith(t, "me", "secret")
	host := strings.TrimPrefix(r.url, "http://")
	config := tempDir(t)
	h.env = append(h.env, "DOCKER_CONFIG="+config)
	dir := h.project("pushed", map[string]string{
		"compose.yaml": `
services:
  app:
    image: ` + host + `/team/app:1
    build: {context: ., tags: ["` + host + `/team/app:again"]}
  unnamed: {build: .}
  pulled: {image: "` + host + `/team/pulled:1"}
`,
		"Dockerfile": "FROM busybox\nRUN echo made > /made\nCMD [\"cat\", \"/made\"]\n",
	})
	h.must(dir, "build", "app")
	denied := h.run(dir, "push", "app")
	if err := want(denied.stderr, "config.json has none for it"); denied.code == 0 || err != nil {
		t.Errorf("without a login: %d, %v", denied.code, err)
	}
	if r := h.run(dir, "push", "--ignore-push-failures", "app"); r.code != 0 {
		t.Errorf("failures are not ignored: %s", r.stderr)
	}
	login := `{"auths": {"` + host + `": {"auth": "` + base64.StdEncoding.EncodeToString([]byte("me:secret")) + `"}}}`
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte(login), 0o600); err != nil {
		t.Fatal(err)
	}
	pushed := h.run(dir, "push")
	for _, line := range []string{
		" Image " + host + "/team/app:1 Pushing \n", " Image " + host + "/team/app:1 Pushed \n", " Image " + host + "/team/app:again Pushed \n",
		" Image pushed-unnamed Skipped \n", " Image " + host + "/team/pulled:1 Skipped \n",
	} {
		if !strings.Contains(pushed.stderr, line) {
			t.Errorf("push: %d, no %q in\n%s", pushed.code, line, pushed.stderr)
		}
	}
	h.must("", "image", "rm", host+"/team/app:1")
	h.must("", "image", "rm", host+"/team/app:again")
	h.must(dir, "pull", "app")
	if got := h.must(dir, "run", "--rm", "--no-deps", "app"); got != "made\n" {
		t.Errorf("what was pulled says %q", got)
	}
	other := newHost(t)
	other.env = append(other.env, "DOCKER_CONFIG="+config)
	again := other.project("again", map[string]string{"compose.yaml": "services: {app: {image: \"" + host + "/team/app:again\"}}\n"})
	if got := other.must(again, "run", "--rm", "app"); got != "made\n" {
		t.Errorf("another host pulled what says %q", got)
	}
	if r := h.run(dir, "push", "nosuch"); r.code != 1 || !strings.Contains(r.stderr, "no such service: nosuch") {
		t.Errorf("push of no service: %+v", r)
	}
}
