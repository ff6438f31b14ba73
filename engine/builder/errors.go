package builder

import (
	"context"
	"errors"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/image"
)

// coded is an error with a word that the daemon understands.
type coded struct {
	code string
	err  error
}

func (e *coded) Error() string    { return e.err.Error() }
func (e *coded) Unwrap() error    { return e.err }
func (e *coded) WireCode() string { return e.code }

func withCode(code string, err error) error { return &coded{code, err} }

// classify gives the codes that follow from an error of the libraries.
func classify(err error) error {
	var already *coded
	switch {
	case err == nil || errors.As(err, &already):
		return err
	case errors.Is(err, context.Canceled):
		return withCode(image.CodeCanceled, err)
	case errdefs.IsNotFound(err):
		return withCode(image.CodeNotFound, err)
	case isDigestMismatch(err):
		return withCode(image.CodeDigest, err)
	case isFull(err):
		return withCode(image.CodeFull, err)
	}
	return err
}

// isFull says that our own disk takes nothing more. What a step writes into its
// root is on that disk too, but a step's own failure has an exit code only.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// isDigestMismatch knows the content store's two refusals, which have no type
// of their own.
func isDigestMismatch(err error) bool {
	return errdefs.IsFailedPrecondition(err) &&
		(strings.Contains(err.Error(), "unexpected commit digest") || strings.Contains(err.Error(), "unexpected commit size"))
}
