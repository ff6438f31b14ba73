package parts

import (
	"os"
	"strings"
	"testing"
)

const constant = "what is written here lies among the constants of the program"

func TestWhatIsTakenOutOfTheAddressSpaceComesBack(t *testing.T) {
	before := strings.Clone(constant)
	for range 3 {
		Unmap()
		if before != constant {
			t.Fatalf("a constant has become %q", constant)
		}
		if _, err := os.ReadFile("/proc/self/maps"); err != nil { // code
			t.Fatal(err)
		}
	}
}
