package dns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
)

// Config is what resolv.conf(5) says.
type Config struct {
	Servers []netip.AddrPort // at most three, as in libc
	Search  []string
	Options []string
}

// ParseConfig reads resolv.conf; like libc it skips what it does not
// understand. Scoped IPv6 addresses (fe80::1%eth0) are kept.
func ParseConfig(r io.Reader) (Config, error) {
	var c Config
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line, _, _ = strings.Cut(line, ";")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.Servers) < 3 {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain":
			c.Search = f[1:]
		case "options":
			c.Options = append(c.Options, f[1:]...)
		}
	}
	if err := lines.Err(); err != nil {
		return Config{}, fmt.Errorf("cannot read resolv.conf: %w", err)
	}
	return c, nil
}

// File is a resolv.conf that may change at any time: it is read again when
// its size, time or inode differ. A server on a loopback address (127.0.0.53)
// is fine, since questions are forwarded from the host's side.
type File struct {
	path string

	mu   sync.Mutex
	info fs.FileInfo
	read Config
}

// NewFile names the file, normally /etc/resolv.conf; it is read at first use.
func NewFile(path string) *File { return &File{path: path} }

// Config is what the file says now. A missing file is an empty one.
func (f *File) Config() (Config, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.info, f.read = nil, Config{}
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	if f.info == nil || !sameFile(f.info, info) {
		if err := f.loadLocked(info); err != nil {
			return Config{}, err
		}
	}
	return Config{
		Servers: slices.Clone(f.read.Servers),
		Search:  slices.Clone(f.read.Search),
		Options: slices.Clone(f.read.Options),
	}, nil
}

func (f *File) loadLocked(info fs.FileInfo) error {
	r, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	defer r.Close()
	c, err := ParseConfig(r)
	if err != nil {
		return err
	}
	f.info, f.read = info, c
	return nil
}

// sameFile compares what a change alters.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
