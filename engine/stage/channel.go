package stage

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// maxRecipe bounds what is read; environments are at most a few MiB
// (execve(2) takes a quarter of the stack limit).
const maxRecipe = 64 << 20

// channel is the socket to spawn.
type channel struct{ fd int }

func (c channel) receive() (*recipe.Recipe, error) {
	var head [4]byte
	if err := c.readFull(head[:]); err != nil {
		return nil, failed("stage", "cannot read the recipe: %v", err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxRecipe {
		return nil, failed("stage", "cannot read the recipe: %d bytes are too many", size)
	}
	body := make([]byte, size)
	if err := c.readFull(body); err != nil {
		return nil, failed("stage", "cannot read the recipe: %v", err)
	}
	r := &recipe.Recipe{}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, failed("stage", "cannot read the recipe: %v", err)
	}
	if r.Version != recipe.Version {
		return nil, failed("stage", "cannot start from a recipe of version %d: this program knows %d", r.Version, recipe.Version)
	}
	return r, nil
}

func (c channel) readFull(buf []byte) error {
	for len(buf) > 0 {
		n, err := unix.Read(c.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("end of file")
		}
		buf = buf[n:]
	}
	return nil
}

// send writes one message, with a descriptor if fd is not negative.
func (c channel) send(kind byte, body []byte, fd int) error {
	message := append([]byte{kind}, binary.LittleEndian.AppendUint32(nil, uint32(len(body)))...)
	message = append(message, body...)
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	for len(message) > 0 {
		n, err := unix.SendmsgN(c.fd, message, rights, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot write to spawn: %w", err)
		}
		message, rights = message[n:], nil
	}
	return nil
}

// report tells spawn what went wrong. If spawn is gone nobody is left to
// tell.
func (c channel) report(err error) {
	body, _ := json.Marshal(FailureOf(err))
	_ = c.send(recipe.MessageError, body, -1)
}

// failure is a recipe.Failure as an error.
type failure struct{ recipe.Failure }

func (f *failure) Error() string { return f.Text }

// Exit codes as a shell and docker give them.
const (
	codeNotFound = 127
	codeFailed   = 126
)

func failed(step, format string, args ...any) error {
	return &failure{recipe.Failure{Step: step, Text: fmt.Sprintf(format, args...), Code: codeFailed}}
}

// FailureOf is what an error of Start means.
func FailureOf(err error) recipe.Failure {
	var f *failure
	if errors.As(err, &f) {
		return f.Failure
	}
	return recipe.Failure{Step: "stage", Text: err.Error(), Code: codeFailed}
}
