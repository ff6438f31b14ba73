package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/cmd/parts"
	"github.com/mycompose/mycompose/cmd/ui"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/load"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/wire"
)

// Exit codes beyond 0 and 1.
const (
	codeCannotExecute = 126 // exec and run, as docker's
	codeInterrupted   = 130 // 128 + SIGINT
)

// exit ends a command with a code; an empty text prints nothing.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// exitCode ends a command with another's code, silently.
func exitCode(code int) error {
	if code == 0 {
		return nil
	}
	return &exit{code: code}
}

// unknownValue is an error in docker compose's words, and what would be right.
type unknownValue struct{ text, right string }

func (e *unknownValue) Error() string { return e.text }

// furtherError is an error and what tells more of it.
type furtherError struct {
	error
	further string
}

func (e *furtherError) Unwrap() error { return e.error }

// outcome is the error of an operation's result.
func outcome(r event.Result) error {
	switch {
	case r.Error == "" && r.ExitCode == 0:
		return nil
	case r.Canceled == interruptedBy:
		return &exit{code: codeInterrupted}
	case r.Error == "":
		return &exit{code: r.ExitCode}
	}
	return &exit{code: max(r.ExitCode, 1), err: spec.FromCode(r.Code, r.Error)}
}

// executed is the error of a process that could not be started in a container.
func executed(err error) error {
	if errors.Is(err, spec.ErrCommand) || errors.Is(err, spec.ErrInvalid) {
		return &exit{code: codeCannotExecute, err: err}
	}
	return err
}

// report prints an error with its hint and returns the exit code.
func report(screen *ui.Screen, err error) int {
	if err == nil {
		return 0
	}
	var e *exit
	if errors.As(err, &e) && e.err == nil {
		return e.code
	}
	if list, ok := err.(load.Errors); ok {
		screen.Problems(problems(list), err.Error())
		return 1
	}
	screen.ErrorWithHint(err, hint(err))
	if e != nil {
		return e.code
	}
	if errors.Is(err, context.Canceled) {
		return codeInterrupted
	}
	return 1
}

func problems(list load.Errors) []ui.Problem {
	out := make([]ui.Problem, len(list))
	for i, e := range list {
		out[i] = ui.Problem{File: e.File, Line: e.Line, Column: e.Column, Message: e.Message, Hint: e.Hint, Source: e.Source}
	}
	return out
}

// hint says what a person could do about an error; "" if the text says it.
func hint(err error) string {
	var service *unknownService
	var wrong *unknownValue
	var more *furtherError
	switch {
	case errors.As(err, &more):
		return more.further
	case errors.As(err, &wrong):
		return wrong.right
	case errors.As(err, &service):
		return service.hint()
	case errors.Is(err, load.ErrNoFile):
		return "-f FILE names another file, -p NAME a project that is known"
	case errors.Is(err, client.ErrNoDaemon), errors.Is(err, wire.ErrStopped):
		return "`mycompose info` starts the daemon and tells what it needs"
	case errors.Is(err, parts.ErrMissing):
		return "`make build` puts the whole program at bin/mycompose"
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return "mycompose needs root: sudo mycompose; `mycompose doctor` says what else it needs"
	case errors.Is(err, spec.ErrPortTaken):
		return "free the port, or publish another one"
	case errors.Is(err, spec.ErrNoSpace):
		return "free space there; where mycompose's state folder is, `mycompose image prune -a` removes images that no container uses, `mycompose volume prune` volumes"
	}
	return found(err)
}

// found says how to find what is not there or does not run.
func found(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, spec.ErrImageMissing) && strings.HasPrefix(text, "No such image"):
		return "`mycompose image ls` lists those that are there"
	case errors.Is(err, spec.ErrNotFound) && strings.HasPrefix(text, "no such volume"):
		return "`mycompose volume ls` lists those that are there"
	case errors.Is(err, spec.ErrNotFound) && strings.Contains(text, "external volume "):
		return "`mycompose volume create NAME` makes one; `mycompose volume ls` lists those that are there"
	case errors.Is(err, spec.ErrNotFound) && strings.Contains(text, "declared as external"):
		return "`mycompose network create NAME` makes one; `mycompose network ls` lists those that are there"
	case errors.Is(err, spec.ErrNotFound) && strings.HasPrefix(text, "network "):
		return "`mycompose network ls` lists those that are there"
	case errors.Is(err, spec.ErrNotRunning) && strings.HasPrefix(text, "service "):
		return "`mycompose up -d` starts what does not run; `mycompose ps -a` and `mycompose logs` say how it ended"
	}
	return ""
}
