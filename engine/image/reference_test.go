package image

import (
	"errors"
	"strings"
	"testing"
)

func TestNormalizeGivesTheFullName(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for in, want := range map[string]string{
		"redis":                          "docker.io/library/redis:latest",
		"redis:alpine":                   "docker.io/library/redis:alpine",
		"docker.io/redis":                "docker.io/library/redis:latest",
		"index.docker.io/library/x:1":    "docker.io/library/x:1",
		"me/app":                         "docker.io/me/app:latest",
		"localhost/app":                  "localhost/app:latest",
		"registry.test:5000/a/b:v1":      "registry.test:5000/a/b:v1",
		"redis@" + digest:                "docker.io/library/redis@" + digest,
		"redis:7@" + digest:              "docker.io/library/redis@" + digest,
		"registry.test:5000/a@" + digest: "registry.test:5000/a@" + digest,
	} {
		got, err := Normalize(in)
		if err != nil || got != want {
			t.Errorf("Normalize(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestNormalizeRefusesBadNames(t *testing.T) {
	for _, in := range []string{
		"", " ", "Redis", "a//b", "../x", "a/../b", "redis:", "redis:../../x", "redis:a b", "-x/y",
		"sha256:../../x", "sha256:" + strings.Repeat("ab", 32), strings.Repeat("ab", 32),
		"redis@sha256:../../x", "redis@sha256:ABCD", "redis@sha256:", "redis@md9:" + strings.Repeat("a", 64),
		"redis:" + strings.Repeat("x", 129), strings.Repeat("a/", 200) + "b", "redis\n", "a\x00b",
	} {
		if got, err := Normalize(in); !errors.Is(err, ErrReference) {
			t.Errorf("Normalize(%q) = %q, %v; want ErrReference", in, got, err)
		}
	}
}

func TestCheckDigestTakesOnlyCanonicalSHA256(t *testing.T) {
	good := "sha256:" + strings.Repeat("0a", 32)
	if err := CheckDigest(good); err != nil {
		t.Errorf("CheckDigest(%q) = %v", good, err)
	}
	for _, bad := range []string{
		"", "sha256:", "sha256:../../x", "sha256:" + strings.Repeat("0A", 32), "md5:" + strings.Repeat("0a", 16),
		"sha256:" + strings.Repeat("0a", 31), "sha256:" + strings.Repeat("0a", 33), "sha512:" + strings.Repeat("0a", 64),
		strings.Repeat("0a", 32), "sha256:" + strings.Repeat("0a", 31) + "/.", "sha256:" + strings.Repeat("0a", 32) + "\n",
	} {
		if CheckDigest(bad) == nil {
			t.Errorf("CheckDigest(%q) = nil, want an error", bad)
		}
	}
}

func TestFamiliarGivesTheShortName(t *testing.T) {
	for in, want := range map[string]string{
		"docker.io/library/redis:alpine": "redis:alpine",
		"docker.io/me/app:latest":        "me/app:latest",
		"registry.test:5000/a/b:v1":      "registry.test:5000/a/b:v1",
		"NOT A NAME":                     "NOT A NAME",
	} {
		if got := Familiar(in); got != want {
			t.Errorf("Familiar(%q) = %q, want %q", in, got, want)
		}
	}
}
