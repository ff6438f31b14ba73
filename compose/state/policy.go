package state

import (
	"fmt"
	"strings"
	"time"

	"github.com/xhit/go-str2duration/v2"
)

// pullPolicy reads a pull_policy; refresh is set for those that ask a registry
// again after a while (https://github.com/compose-spec/compose-spec/blob/main/05-services.md#pull_policy).
func pullPolicy(text string) (policy string, refresh time.Duration, err error) {
	const day = 24 * time.Hour
	switch text {
	case "", "always", "never", "missing", "build":
		return text, 0, nil
	case "if_not_present":
		return "missing", 0, nil
	case "daily":
		return "refresh", day, nil
	case "weekly":
		return "refresh", 7 * day, nil
	}
	every, ok := strings.CutPrefix(text, "every_")
	if !ok {
		return "", 0, fmt.Errorf("%q is not known", text)
	}
	refresh, err = str2duration.ParseDuration(every)
	return "refresh", refresh, err
}

// SameImage reports whether two references, as users write them, name the
// same tag: "app" and "docker.io/library/app:latest" do.
func SameImage(a, b string) bool { return spelledOut(a) == spelledOut(b) }

func spelledOut(reference string) string {
	reference = strings.TrimPrefix(strings.TrimPrefix(reference, "index.docker.io/"), "docker.io/")
	reference = strings.TrimPrefix(reference, "library/")
	if slash := strings.LastIndexByte(reference, '/'); !strings.ContainsAny(reference[slash+1:], ":@") {
		reference += ":latest"
	}
	return reference
}
