package wire

import (
	"fmt"
	"os"
	"time"
)

// Logf writes one line of a role of the small program to standard error, which
// is the daemon's log.
func Logf(role, format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().UTC().Format(time.RFC3339), role, fmt.Sprintf(format, args...))
}
