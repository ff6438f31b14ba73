package parts

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Unmap takes this program's constants and code out of its address space,
// madvise(2) MADV_DONTNEED. They are pages of a file: what is used again comes
// back by itself, sixteen at a time. That they are not in the way is a wish.
func Unmap() { unmap("r--p", "r-xp") }

// unmap does that for mappings with these permissions.
func unmap(permissions ...string) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		// address perms offset dev inode pathname, proc_pid_maps(5)
		if f := strings.Fields(line); len(f) < 6 || !slices.Contains(permissions, f[1]) || !strings.HasSuffix(line, exe+"\n") {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
