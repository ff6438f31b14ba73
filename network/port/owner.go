package port

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is who has a port.
type Process struct {
	PID  int
	Name string // as in /proc/PID/comm
}

func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

// Owner finds the process whose socket keeps b from being bound, in the
// calling thread's network namespace. It reports false where none is to be
// seen: a TCP socket that is bound but does not listen, as our own reservations
// are, stands in no list of the kernel's, and a process of another user or pid
// namespace cannot be looked into.
func Owner(b Binding) (Process, bool) {
	inodes := map[string]bool{}
	for _, family := range []string{"", "6"} {
		f, err := os.Open("/proc/thread-self/net/" + string(b.Protocol) + family)
		if err != nil {
			continue
		}
		for _, s := range parseTable(f) {
			if s.clashes(b) {
				inodes["socket:["+s.inode+"]"] = true
			}
		}
		f.Close()
	}
	if len(inodes) == 0 {
		return Process{}, false
	}
	return holder(inodes)
}

// socket is a line of /proc/net/tcp or udp (proc(5)).
type socket struct {
	local netip.AddrPort
	state string
	inode string
}

// The states that hold a port against a bind: TCP_LISTEN, and for UDP
// TCP_CLOSE (unconnected) and TCP_ESTABLISHED (connected).
const (
	stateListen      = "0A"
	stateClose       = "07"
	stateEstablished = "01"
)

func (s socket) clashes(b Binding) bool {
	if s.local.Port() != b.Port || b.Port == 0 || s.inode == "0" {
		return false
	}
	if b.Protocol == TCP && s.state != stateListen && s.state != stateEstablished {
		return false
	}
	if b.Protocol == UDP && s.state != stateClose && s.state != stateEstablished {
		return false
	}
	mine, theirs := b.Addr.Unmap(), s.local.Addr().Unmap()
	if mine == theirs {
		return true
	}
	// :: of another socket covers IPv4 too unless it is IPv6 only, which the
	// table does not tell: naming it is the better guess.
	if theirs.IsUnspecified() {
		return theirs.Is6() || mine.Is4()
	}
	return mine.IsUnspecified() && mine.Is4() == theirs.Is4()
}

// parseTable reads the lines that can be read and skips the others.
func parseTable(r io.Reader) []socket {
	var found []socket
	lines := bufio.NewScanner(r)
	lines.Scan() // heading
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		if local, ok := parseAddress(f[1]); ok {
			found = append(found, socket{local: local, state: f[3], inode: f[9]})
		}
	}
	return found
}

// parseAddress reads 0100007F:1F90: 32-bit words in the byte order of the
// machine, which is little-endian wherever this runs, and the port in hex.
func parseAddress(s string) (netip.AddrPort, bool) {
	addr, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(addr)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	a, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, uint16(n)), true
}

// holder is the process with a descriptor of one of the sockets, the lowest
// pid first, as a parent is rather what a user knows than its child.
func holder(sockets map[string]bool) (Process, bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Process{}, false
	}
	best := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && (best == 0 || pid < best) && holds(pid, sockets) {
			best = pid
		}
	}
	if best == 0 {
		return Process{}, false
	}
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", best))
	return Process{PID: best, Name: strings.TrimSpace(string(name))}, true
}

func holds(pid int, sockets map[string]bool) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // ended, or not ours to see
	}
	buf := make([]byte, 64)
	for _, e := range entries {
		n, err := unix.Readlink(dir+"/"+e.Name(), buf)
		if err == nil && sockets[string(buf[:n])] {
			return true
		}
	}
	return false
}
