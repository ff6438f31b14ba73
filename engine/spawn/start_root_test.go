package spawn_test

import (
	"errors"
	"testing"

	"github.com/mycompose/mycompose/engine/spawn"
)

func TestStartGivesTheProgramsExitCode(t *testing.T) {
	b := newBox(t)
	for _, test := range []struct {
		script string
		code   int
	}{
		{"true", 0}, {"exit 42", 42}, {"kill -9 $$; sleep 1; exit 7", 7}, // PID 1 ignores it
	} {
		if out, code := b.sh(test.script); code != test.code {
			t.Errorf("%s: code %d, want %d (%s)", test.script, code, test.code, out)
		}
	}
}

func TestStartSaysWhyNothingIsExecuted(t *testing.T) {
	b := newBox(t)
	b.write("bin/data", "#!/nonexistent/interpreter\n")
	for _, test := range []struct {
		name string
		args []string
		code int
		text string
	}{
		{"a name that is nowhere in PATH", []string{"nonesuch"}, 127, "cannot execute nonesuch: executable file not found in $PATH"},
		{"a path that does not exist", []string{"/bin/nonesuch"}, 127, "cannot execute /bin/nonesuch: no such file or directory"},
		{"a folder", []string{"/etc"}, 126, "cannot execute /etc: permission denied"},
		{"a file without the right", []string{"/bin/data"}, 126, "cannot execute /bin/data: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := b.prepare(test.args...)
			err := c.start()
			var failure *spawn.Error
			if !errors.As(err, &failure) {
				t.Fatalf("error %v, want a spawn.Error", err)
			}
			if failure.Code != test.code || failure.Text != test.text || failure.Step != "exec" {
				t.Errorf("got %+v, want code %d, text %q", *failure, test.code, test.text)
			}
		})
	}
}
