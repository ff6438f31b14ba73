package cli

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// hostDevice says what keeps a path of this host from being a device with limits of
// its own. The engine, which sees the same, says so too, without the line.
func hostDevice(path string) (wrong, right string) {
	info, err := os.Stat(path)
	if err != nil {
		return "there is no " + path, "`lsblk` lists those of this host"
	}
	if info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return path + " is no block device", "`lsblk` lists those of this host"
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		number := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if _, err := os.Stat(number + "/partition"); err == nil {
			return path + " is a partition", "only whole devices can be limited: name the one that it is on"
		}
	}
	return "", ""
}
