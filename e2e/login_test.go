package e2e

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A registry that wants a login is given what docker login has left, from the
// file or from a credential helper; without one the error names the file.
func TestPullWithALogin(t *testing.T) {
	h := newHost(t)
	r := newRegistryWith(t, "me", "s3cret:word")
	r.push("private/app", "1", busyboxTar(t), imageConfig{Cmd: []string{"echo", "private"}}, "")
	host := strings.TrimPrefix(r.url, "http://")
	programs, config := tempDir(t), tempDir(t)
	helper := "#!/bin/sh\n[ $1 = list ] && echo {} && exit\nread name\n[ $name = " + host + " ] && echo '{\"Username\": \"me\", \"Secret\": \"s3cret:word\"}'\n"
	if err := os.WriteFile(filepath.Join(programs, "docker-credential-e2e"), []byte(helper), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	h.env = append(h.env, "DOCKER_CONFIG="+config, "PATH="+os.Getenv("PATH"))
	file := filepath.Join(config, "config.json")
	login := func(text string) {
		t.Helper()
		h.run("", "image", "rm", host+"/private/app:1") // gone or not
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	encoded := func(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) }
	dir := h.project("private", map[string]string{
		"compose.yaml":    "services:\n  app: {image: \"" + host + "/private/app:1\"}\n  made: {build: ./made, profiles: [made]}\n",
		"made/Dockerfile": "FROM " + host + "/private/app:1\nRUN echo on top > /made\n",
	})
	for _, none := range []struct{ text, says string }{
		{"{}", file + " has none for it"},
		{`{"auths": {"` + host + `": {"auth": "` + encoded("me:wrong") + `"}}}`, "refuses the login in " + file},
	} {
		login(none.text)
		for _, args := range [][]string{{"pull", "app"}, {"up", "-d", "app"}} {
			if r := h.run(dir, args...); r.code == 0 || !strings.Contains(r.stderr, none.says) {
				t.Errorf("%v with %s: %d, want %q in\n%s", args, none.text, r.code, none.says, r.stderr)
			}
		}
	}
	for _, text := range []string{
		`{"auths": {"` + host + `": {"auth": "` + encoded("me:s3cret:word") + `"}}}`,
		`{"auths": {"http://` + host + `/v2/": {"username": "me", "password": "s3cret:word"}}}`,
		`{"credHelpers": {"` + host + `": "e2e"}}`,
		`{"auths": {"` + host + `": {}}, "credsStore": "e2e"}`,
	} {
		for _, args := range [][]string{{"pull", "app"}, {"run", "--rm", "app"}, {"up", "-d", "app"}, {"build", "made"}} {
			login(text)
			r := h.run(dir, append([]string{"--profile", "made"}, args...)...)
			if r.code != 0 {
				t.Errorf("%v with %s: %d\n%s", args, text, r.code, r.stderr)
			}
			if args[0] == "run" && !strings.HasSuffix(r.stdout, "private\n") {
				t.Errorf("run with %s says %q", text, r.stdout)
			}
			h.must(dir, "down")
		}
	}
}
