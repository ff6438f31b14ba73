package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/engine/spec"
)

// helperTime is how long a credential helper may take: some ask the user.
const helperTime = 2 * time.Minute

// askHelpers gets what the credential helpers keep, all at once, and adds it to
// auth. The error names the helpers that did not answer; it is for those who
// then have no login.
func (l *logins) askHelpers(ctx context.Context, environment []string) error {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	names := maps.Clone(l.helpers)
	var errs []error
	if l.store != "" {
		var listed map[string]string // name → user
		if err := askHelper(ctx, environment, l.store, "list", "", &listed); err != nil {
			errs = append(errs, err)
		}
		for name := range listed {
			if names[name] == "" {
				names[name] = l.store
			}
		}
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	for _, name := range slices.Sorted(maps.Keys(names)) {
		wait.Go(func() {
			var kept struct{ Username, Secret string }
			err := askHelper(ctx, environment, names[name], "get", name, &kept)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case kept.Username == "<token>":
				l.add(name, "", kept.Secret)
			case kept.Secret != "":
				l.add(name, kept.Username, kept.Secret)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// askHelper speaks the protocol of credential helpers: a word as argument, the
// name on standard input, JSON or an error's text on standard output
// (https://github.com/docker/docker-credential-helpers#development).
func askHelper(ctx context.Context, environment []string, helper, word, name string, into any) error {
	program := "docker-credential-" + helper
	cmd := exec.CommandContext(ctx, program, word)
	cmd.Env, cmd.Stdin = environment, strings.NewReader(name)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(out.String() + " " + errOut.String())
		if strings.Contains(text, "credentials not found") {
			return nil
		}
		return fmt.Errorf("cannot get a login from %s: %w %s", program, err, text)
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		return fmt.Errorf("cannot get a login from %s: %w", program, err)
	}
	return nil
}

// withHelpers reports whether an operation that a registry refused is worth a second
// attempt, with the logins that credential helpers keep: they cost time, and
// most operations ask no registry.
func (s *session) withHelpers(ctx context.Context, op *client.Operation, r event.Result) bool {
	if r.Code != spec.Code(spec.ErrUnauthorized) || !needsLogins(op.Kind) || asksHelpersFirst(op.Kind) {
		return false
	}
	l, err := s.logins()
	if err != nil || len(l.helpers) == 0 && l.store == "" || s.asked {
		return false
	}
	s.asked = true
	if err := l.askHelpers(ctx, s.process.Environment); err != nil {
		s.screen.Warn(err.Error())
	}
	if maps.Equal(l.auth, op.Logins) {
		return false
	}
	op.ID, op.Logins = client.NewID(), l.auth
	return true
}

// asksHelpersFirst: what is sure to ask a registry.
func asksHelpersFirst(kind client.Kind) bool {
	return kind == client.Pull || kind == client.Push || kind == client.Build
}
