package folder

import (
	"fmt"
	"strings"
)

// maxName leaves room for the suffixes of file names (NAME_MAX is 255).
const maxName = 200

// CheckName reports why a name cannot be an object's: it becomes a file name.
// Allowed are 1 to 200 of A-Z a-z 0-9 . _ - : @ + = , with no leading dot.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty name")
	case len(name) > maxName:
		return fmt.Errorf("name of %d characters: limit is %d", len(name), maxName)
	case name[0] == '.':
		return fmt.Errorf("name %q begins with a dot", name)
	}
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("._-:@+=,", rune(c)) {
			return fmt.Errorf("name %q contains %q", name, string(rune(c)))
		}
	}
	return nil
}
