package network

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// sysctl is one setting below /proc/sys/net, in the namespace of the thread
// that writes it.
type sysctl struct {
	path  string
	value string
	// optional settings may be missing, as all of ipv6 is on some hosts.
	optional bool
}

func (s sysctl) write() error {
	path := "/proc/sys/net/" + s.path
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) && s.optional {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(s.value)); err != nil {
		return fmt.Errorf("cannot write %q to %s: %w", s.value, path, err)
	}
	return nil
}

// readSysctl returns the setting without its line end.
func readSysctl(path string) (string, error) {
	path = "/proc/sys/net/" + path
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("cannot open %s: %w", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 64)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	for n > 0 && buf[n-1] == '\n' {
		n--
	}
	return string(buf[:n]), nil
}
