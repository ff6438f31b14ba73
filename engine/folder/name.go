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

// SortNames sorts names in place. The small program uses it in place of package
// slices, whose Sort weighs 7 KB more there (this is a heap sort).
func SortNames(names []string) {
	for root := len(names)/2 - 1; root >= 0; root-- {
		sink(names, root)
	}
	for end := len(names) - 1; end > 0; end-- {
		names[0], names[end] = names[end], names[0]
		sink(names[:end], 0)
	}
}

// sink moves a name down a heap until it is not below a larger one.
func sink(names []string, root int) {
	for child := 2*root + 1; child < len(names); child = 2*root + 1 {
		if child+1 < len(names) && names[child] < names[child+1] {
			child++
		}
		if names[root] >= names[child] {
			return
		}
		names[root], names[child] = names[child], names[root]
		root = child
	}
}
