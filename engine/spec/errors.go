package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// Sentinels; test with errors.Is. They survive the socket by their code.
var (
	ErrNotFound     = errors.New("not found")
	ErrConflict     = errors.New("conflict") // the name is taken by something else
	ErrInUse        = errors.New("in use")
	ErrNotRunning   = errors.New("not running")
	ErrUnhealthy    = errors.New("unhealthy")
	ErrNoHealth     = errors.New("no healthcheck configured")
	ErrUnsupported  = errors.New("not supported")
	ErrPortTaken    = errors.New("port is taken")
	ErrCommand      = errors.New("command cannot be executed")
	ErrInvalid      = errors.New("invalid")
	ErrUnavailable  = errors.New("unavailable") // the kernel or a right is missing
	ErrImageMissing = errors.New("no such image")
	ErrUnauthorized = errors.New("unauthorized") // a registry wants a login
	ErrNoSpace      = errors.New("no space")     // a file system is full, or a quota used up
)

var codes = map[string]error{
	"not-found": ErrNotFound, "conflict": ErrConflict, "in-use": ErrInUse,
	"not-running": ErrNotRunning, "unhealthy": ErrUnhealthy, "no-health": ErrNoHealth,
	"unsupported": ErrUnsupported, "port-taken": ErrPortTaken, "command": ErrCommand,
	"invalid": ErrInvalid, "unavailable": ErrUnavailable, "image-missing": ErrImageMissing,
	"unauthorized": ErrUnauthorized, noSpace: ErrNoSpace,
}

const noSpace = "no-space"

// Code returns the word that stands for the sentinel in err, or "". A file that
// could not be written for want of space has one too.
func Code(err error) string {
	for code, sentinel := range codes {
		if errors.Is(err, sentinel) {
			return code
		}
	}
	if IsFull(err) {
		return noSpace
	}
	return ""
}

// IsFull reports that a file system takes nothing more: write(2), ENOSPC and
// EDQUOT of a named file. Other calls mean other things by these numbers.
func IsFull(err error) bool {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.Is(err, ErrNoSpace):
		return true
	case errors.As(err, &file):
		err = file.Err
	case errors.As(err, &link):
		err = link.Err
	default:
		return false
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// FromCode makes an error of a code and a text that came over a socket, so
// that errors.Is works on the far side and the text stays as it was.
func FromCode(code, text string) error {
	sentinel, ok := codes[code]
	if !ok {
		return errors.New(text)
	}
	return &remote{text, sentinel}
}

// Errorf returns an error with the formatted text that errors.Is knows as
// sentinel.
func Errorf(sentinel error, format string, args ...any) error {
	return &remote{fmt.Sprintf(format, args...), sentinel}
}

type remote struct {
	text     string
	sentinel error
}

func (e *remote) Error() string    { return e.text }
func (e *remote) Unwrap() error    { return e.sentinel }
func (e *remote) WireCode() string { return Code(e.sentinel) }
