package builder

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/mycompose/mycompose/engine/image"
)

// hub is the registry of names that have none, as references write it; which
// host serves it is the library's knowledge (docker.DefaultHost).
const hub = "docker.io"

// registryHosts says where a registry's images are asked for: its mirrors in
// order, then itself.
func registryHosts(r image.Registries) docker.RegistryHosts {
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthCreds(func(host string) (string, string, error) {
		return credentials(r, host)
	}))
	return func(registry string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		for _, raw := range r.Mirrors[registry] {
			host, err := mirrorHost(raw, authorizer)
			if err != nil {
				return nil, fmt.Errorf("bad mirror of %s: %w", registry, err)
			}
			hosts = append(hosts, host)
		}
		return append(hosts, ownHost(registry, r.Insecure, authorizer)), nil
	}
}

func mirrorHost(raw string, authorizer docker.Authorizer) (docker.RegistryHost, error) {
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return docker.RegistryHost{}, fmt.Errorf("%q: want http(s)://HOST[:PORT][/PATH]", raw)
	}
	path := strings.TrimSuffix(u.Path, "/")
	if !strings.HasSuffix(path, "/v2") {
		path += "/v2"
	}
	return docker.RegistryHost{
		Client:       &http.Client{Transport: docker.DefaultHTTPTransport(nil)},
		Authorizer:   authorizer,
		Host:         u.Host,
		Scheme:       u.Scheme,
		Path:         path,
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}, nil
}

func ownHost(registry string, insecure []string, authorizer docker.Authorizer) docker.RegistryHost {
	host := registry
	if served, err := docker.DefaultHost(registry); err == nil {
		host = served
	}
	client := &http.Client{Transport: docker.DefaultHTTPTransport(nil)}
	if isLoopback(registry) || slices.Contains(insecure, registry) {
		// As docker: TLS with any certificate, else plain HTTP.
		transport := docker.DefaultHTTPTransport(&tls.Config{InsecureSkipVerify: true})
		client.Transport = docker.NewHTTPFallback(transport)
	}
	return docker.RegistryHost{
		Client:       client,
		Authorizer:   authorizer,
		Host:         host,
		Scheme:       "https",
		Path:         "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush,
	}
}

func isLoopback(registry string) bool {
	host := registry
	if h, _, err := net.SplitHostPort(registry); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// credentials finds what config.json has for a host. Docker Hub has several
// names there.
func credentials(r image.Registries, host string) (string, string, error) {
	names := []string{host}
	if served, err := docker.DefaultHost(hub); host == hub || err == nil && host == served {
		names = append(names, hub, "index."+hub, "https://index."+hub+"/v1/")
	}
	for _, name := range names {
		if c, ok := r.Auth[name]; ok {
			return c.User, c.Secret, nil
		}
	}
	return "", "", nil
}
