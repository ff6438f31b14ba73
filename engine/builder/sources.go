package builder

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/image"
)

// failure is why one host did not give an image.
type failure struct {
	host docker.RegistryHost
	code string
	err  error
}

// isFinal says whether no other host could do better: the work was cancelled,
// or our own disk is the reason.
func isFinal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || isFull(err) || errors.Is(err, unix.EIO)
}

// failed makes one error of all: each host with its reason. Its code is the
// one that tells most.
func failed(all []failure) error {
	var texts []string
	var errs []error
	code := ""
	for _, f := range all {
		texts = append(texts, fmt.Sprintf("%s://%s: %v", f.host.Scheme, f.host.Host, f.err))
		errs = append(errs, f.err)
	}
	for _, want := range []string{image.CodeLogin, image.CodePlatform, image.CodeDigest, image.CodeNotFound} {
		for _, f := range all {
			if f.code == want && code == "" {
				code = want
			}
		}
	}
	text := strings.Join(texts, "; ")
	if len(all) == 1 {
		text = all[0].err.Error()
	}
	err := &stepError{text, errors.Join(errs...)}
	if code == "" {
		return err
	}
	return withCode(code, err)
}

// explainHost puts the library's error into the words of somebody who can do
// something about it.
func explainHost(host docker.RegistryHost, name string, r image.Registries, err error) failure {
	f := failure{host: host, err: err}
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var status remoteerrors.ErrUnexpectedStatus
	code := 0
	if errors.As(err, &status) {
		code = status.StatusCode
	}
	already := &coded{}
	switch {
	case errors.As(err, &already):
		f.code = already.code
	case errors.As(err, &authority):
		f.err = fmt.Errorf("the certificate of %s is signed by an authority that is not known here: put the authority's into %s/%s/ca.crt, or add %s to insecure_registries (%w)",
			host.Host, certFolders()[0], host.Host, host.Host, authority)
	case errors.As(err, &hostname):
		f.err = fmt.Errorf("the certificate of %s is another host's: %w", host.Host, hostname)
	case errors.Is(err, http.ErrSchemeMismatch):
		f.err = fmt.Errorf("%s speaks plain HTTP: add it to insecure_registries (%w)", host.Host, http.ErrSchemeMismatch)
	case errors.Is(err, docker.ErrInvalidAuthorization), code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.code, f.err = image.CodeLogin, denied(host, name, r, err)
	case errdefs.IsNotFound(err):
		f.code, f.err = image.CodeNotFound, fmt.Errorf("%s has no image %s: %w", host.Host, image.Familiar(name), errdefs.ErrNotFound)
	case isDigestMismatch(err):
		f.code = image.CodeDigest
	}
	return f
}

// denied says which login was refused, or that there is none.
func denied(host docker.RegistryHost, name string, r image.Registries, err error) error {
	file := r.AuthFile
	if file == "" {
		file = "~/.docker/config.json"
	}
	if user, secret, _ := credentials(r, host.Host); user != "" || secret != "" {
		return fmt.Errorf("pull access denied for %s: %s refuses the login in %s (%w)", image.Familiar(name), host.Host, file, err)
	}
	return fmt.Errorf("pull access denied for %s: it may not exist, or %s wants a login and %s has none for it: docker login %s writes one (%w)",
		image.Familiar(name), host.Host, file, host.Host, err)
}

// only is a list of hosts for every registry.
func only(hosts ...docker.RegistryHost) docker.RegistryHosts {
	return func(string) ([]docker.RegistryHost, error) { return hosts, nil }
}
