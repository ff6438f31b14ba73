package builder

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// certFolders are where a registry's certificates are looked for, below a
// folder of its name; the second one is docker's.
func certFolders() []string { return []string{"/etc/mycompose/certs.d", "/etc/docker/certs.d"} }

// tlsConfig reads what the folders have for a host, as dockerd does
// (https://docs.docker.com/engine/security/certificates/): *.crt are
// authorities beside the system's, *.cert and *.key our own certificate. It is
// nil if there is nothing.
func tlsConfig(host string, folders []string) (*tls.Config, error) {
	for _, folder := range folders {
		dir := filepath.Join(folder, host)
		if !filepath.IsLocal(host) {
			return nil, fmt.Errorf("bad registry host %q", host)
		}
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read certificates of %s: %w", host, err)
		}
		return readCertificates(dir, entries)
	}
	return nil, nil
}

func readCertificates(dir string, entries []fs.DirEntry) (*tls.Config, error) {
	config := &tls.Config{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch filepath.Ext(path) {
		case ".crt":
			raw, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("cannot read certificate: %w", err)
			}
			if config.RootCAs == nil {
				if config.RootCAs, err = x509.SystemCertPool(); err != nil {
					return nil, fmt.Errorf("cannot read the system's certificates: %w", err)
				}
			}
			if !config.RootCAs.AppendCertsFromPEM(raw) {
				return nil, fmt.Errorf("cannot read certificate %s: there is none in PEM form", path)
			}
		case ".cert":
			pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
			if err != nil {
				return nil, fmt.Errorf("cannot read client certificate %s: %w", path, err)
			}
			config.Certificates = append(config.Certificates, pair)
		}
	}
	return config, nil
}
