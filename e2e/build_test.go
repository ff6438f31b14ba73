package e2e

import (
	"strings"
	"testing"
)

// A built image runs at once, its upper layers over its lower ones; a second
// build comes from the cache; a failing step shows its last lines and its code.
func TestBuildRunsAtOnceAndSaysWhatFails(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.project("built", map[string]string{
		"compose.yaml": `
services:
  good:
    build: {context: ., args: {WORD: hello}}
  bad:
    profiles: [bad]
    build: {context: ., dockerfile: bad.Dockerfile}
`,
		"Dockerfile": `FROM busybox AS first
ARG WORD
RUN echo "$WORD from the first stage" > /word
FROM busybox
RUN echo lower > /file
RUN echo upper > /file && echo app:x:1234:1234::/home/app:/bin/sh >> /etc/passwd && rm /bin/vi
COPY --from=first --chown=1234 /word /home/app/word
USER app
WORKDIR /home/app
CMD cat /file word && id -u && test ! -e /bin/vi
`,
		"bad.Dockerfile": "FROM busybox\nRUN echo about to fail && exit 7\n",
	})
	h.must(dir, "build")
	if got, want := h.must(dir, "run", "--rm", "good"), "upper\nhello from the first stage\n1234\n"; got != want {
		t.Errorf("the container says %q, want %q", got, want)
	}
	if out := h.must(dir, "build"); strings.Count(out, "CACHED") < 4 {
		t.Errorf("a second build is not cached:\n%s", out)
	}
	bad := h.run(dir, "--profile", "bad", "build", "bad")
	if bad.code != 1 {
		t.Errorf("a failing build exits with %d", bad.code)
	}
	for _, text := range []string{"about to fail", "exit code: 7"} {
		if err := want(bad.stdout+bad.stderr, text); err != nil {
			t.Error(err)
		}
	}
}
