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
// order, then itself. certs are folders with the certificates of registries.
func registryHosts(r image.Registries, certs []string) docker.RegistryHosts {
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthCreds(func(host string) (string, string, error) {
		return credentials(r, host)
	}))
	return func(registry string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		for _, raw := range r.Mirrors[registry] {
			host, err := mirrorHost(raw)
			if err != nil {
				return nil, fmt.Errorf("bad mirror of %s: %w", registry, err)
			}
			if host.Client, err = httpClient(host.Host, slices.Contains(r.Insecure, host.Host), certs); err != nil {
				return nil, fmt.Errorf("bad mirror of %s: %w", registry, err)
			}
			host.Client.Transport = passOver{host.Client.Transport}
			host.Authorizer = authorizer
			hosts = append(hosts, host)
		}
		own := ownHost(registry)
		insecure := isLoopback(registry) || slices.Contains(r.Insecure, registry)
		var err error
		if own.Client, err = httpClient(registry, insecure, certs); err != nil {
			return nil, err
		}
		own.Authorizer = authorizer
		return append(hosts, own), nil
	}
}

func mirrorHost(raw string) (docker.RegistryHost, error) {
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
		Host:         u.Host,
		Scheme:       u.Scheme,
		Path:         path,
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}, nil
}

func ownHost(registry string) docker.RegistryHost {
	host := registry
	if served, err := docker.DefaultHost(registry); err == nil {
		host = served
	}
	return docker.RegistryHost{
		Host:         host,
		Scheme:       "https",
		Path:         "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush,
	}
}

// httpClient speaks TLS to the host; to an insecure one as docker does: with
// any certificate, else plain HTTP.
func httpClient(host string, insecure bool, certs []string) (*http.Client, error) {
	config, err := tlsConfig(host, certs)
	if err != nil {
		return nil, err
	}
	if !insecure {
		return &http.Client{Transport: docker.DefaultHTTPTransport(config)}, nil
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.InsecureSkipVerify = true
	return &http.Client{Transport: docker.NewHTTPFallback(docker.DefaultHTTPTransport(config))}, nil
}

// passOver makes an error of an answer that says "not now": the library would
// ask again and again, but there is another host to ask.
type passOver struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p passOver) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := p.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout {
		answer.Body.Close()
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	return answer, nil
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
