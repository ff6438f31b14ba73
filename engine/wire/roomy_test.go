package wire

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A table that starts small grows while a process has threads, and waits for it.
func TestAChildsTableOfDescriptorsIsLargeFromTheBeginning(t *testing.T) {
	_, before := tableOfChild(t, 0)
	for _, want := range []int{256, ManyDescriptors} {
		size, open := tableOfChild(t, want)
		if size < want {
			t.Errorf("the table holds %d, want %d", size, want)
		}
		for _, fd := range open {
			if !slices.Contains(before, fd) { // that is the test's own caller's
				t.Errorf("of a table of %d descriptor %d is open", want, fd)
			}
		}
	}
}

// tableOfChild starts a child that reads proc_pid_status(5), and gives what it
// says of the table, and which descriptors above the kernel's 64 are open.
func tableOfChild(t *testing.T, descriptors int) (size int, open []int) {
	t.Helper()
	sh, err := os.Open("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	defer sh.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	process, err := Small{
		Program: sh, Args: []string{"sh", "-c", "cat /proc/$$/status; ls /proc/$$/fd"}, Env: os.Environ(),
		Output: write, Descriptors: descriptors,
	}.Start()
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Fatal(err, state)
	}
	for line := range strings.Lines(string(out)) {
		if word, ok := strings.CutPrefix(line, "FDSize:"); ok {
			size, err = strconv.Atoi(strings.TrimSpace(word))
		} else if fd, bad := strconv.Atoi(strings.TrimSpace(line)); bad == nil && fd >= 64 {
			open = append(open, fd)
		}
	}
	if err != nil || size == 0 {
		t.Fatalf("no size in %s", out)
	}
	return size, open
}
