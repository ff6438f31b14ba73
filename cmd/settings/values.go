package settings

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func readDir(into *string, text string) error {
	if !filepath.IsAbs(text) {
		return fmt.Errorf("%q is not an absolute path", text)
	}
	*into = filepath.Clean(text)
	return nil
}

func readPrefix(into *string, text string) error {
	if text == "" {
		*into = ""
		return nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Masked() != prefix || !prefix.Addr().Is4() {
		return fmt.Errorf("%q is not an IPv4 range such as 10.128.0.0/9", text)
	}
	*into = text
	return nil
}

func readAddress(into *string, text string) error {
	if text == "" {
		*into = ""
		return nil
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return fmt.Errorf("%q is not an IP address", text)
	}
	*into = text
	return nil
}

func readCount(into *int, text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		return fmt.Errorf("%q is not a number from 1 to 1000", text)
	}
	*into = n
	return nil
}

// readSize takes bytes, or a number with k, m or g (times 1024; "10m", "10MB").
func readSize(into *int64, text string) error {
	digits := strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "kmgib")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text))[len(digits):], "b"), "i")
	factor, ok := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[unit]
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || !ok || n < 1 || n > 1<<40/factor {
		return fmt.Errorf("%q is not a size such as 10m", text)
	}
	*into = n * factor
	return nil
}

func splitList(text string) []string {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

func readMirrors(into *map[string][]string, text string) error {
	out := map[string][]string{}
	for entry := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(entry) == "" {
			continue
		}
		host, list, found := strings.Cut(entry, "=")
		host = strings.TrimSpace(host)
		mirrors := splitList(list)
		if !found || host == "" || len(mirrors) == 0 {
			return fmt.Errorf("%q is not HOST=URL[,URL…]", entry)
		}
		for _, m := range mirrors {
			u, err := url.Parse(m)
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				return fmt.Errorf("mirror %q of %s is not an http:// or https:// URL", m, host)
			}
		}
		if _, twice := out[host]; twice {
			return errors.New(host + " stands twice")
		}
		out[host] = mirrors
	}
	*into = out
	return nil
}

func showMirrors(mirrors map[string][]string) string {
	var out []string
	for _, host := range slices.Sorted(maps.Keys(mirrors)) {
		out = append(out, host+"="+strings.Join(mirrors[host], ","))
	}
	return strings.Join(out, ";")
}

// withoutPassword hides the password of a proxy URL for people's eyes.
func withoutPassword(proxy string) string {
	u, err := url.Parse(proxy)
	if err != nil || u.User == nil {
		return proxy
	}
	return u.Redacted()
}
