//go:build !stage

package stage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func TestTheInitsProgramCannotBeWrittenTo(t *testing.T) {
	kerneltest.NeedRoot(t)
	for name, make := range map[string]func() (int, error){"in memory": initMemfd, "on a mount": initFile} {
		fd, err := make()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := "/proc/self/fd/" + strconv.Itoa(fd)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, initImage()) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		f.Close()
		w, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			if _, err = w.Write([]byte("x")); err == nil {
				t.Errorf("%s: it was written to", name)
			}
			w.Close()
		}
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
		if err := unix.Faccessat2(fd, "", unix.X_OK, unix.AT_EMPTY_PATH|unix.AT_EACCESS); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		unix.Close(fd)
	}
	if n := len(initImage()); n > 4096 {
		t.Errorf("it weighs %d bytes, more than a page", n)
	}
}
