package load

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// knowRaw teaches compose-go the format raw of env_file, which it leaves to its
// users.
var knowRaw = sync.OnceFunc(func() { dotenv.RegisterFormat("raw", parseRaw) })

// parseRaw reads NAME=VALUE lines as they stand: quotes, dollars and # within
// a line belong to the value. NAME alone takes it from lookup; a line that
// begins with # is a comment.
func parseRaw(r io.Reader, file string, vars map[string]string, lookup func(string) (string, bool)) error {
	scanner := bufio.NewScanner(r)
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimLeft(strings.TrimSuffix(scanner.Text(), "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("%s: line %d: %q is no NAME=VALUE", file, number, line)
		}
		if !given {
			if value, given = lookup(name); !given {
				continue
			}
		}
		vars[name] = value
	}
	return scanner.Err()
}
