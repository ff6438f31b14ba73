package doctor

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// options are the kernel's build options that name what we need.
var options = map[string]string{"CONFIG_OVERLAY_FS": "overlay", "CONFIG_BRIDGE": "bridge", "CONFIG_VETH": "veth", "CONFIG_NF_TABLES": "nf_tables"}

// configured are the parts that the kernel's build options name as built in or
// as modules; known is false where there are no options to read.
func (l looker) configured(kernel string) (parts []string, known bool) {
	text := l.read("/boot/config-" + kernel)
	if f, err := os.Open(l.path("/proc/config.gz")); text == "" && err == nil {
		defer f.Close()
		if r, err := gzip.NewReader(f); err == nil {
			data, _ := io.ReadAll(io.LimitReader(r, 4<<20))
			text = string(data)
		}
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if part := options[name]; part != "" && (value == "y" || value == "m") {
			parts = append(parts, part)
		}
	}
	return parts, text != ""
}

// Numbers of nfnetlink, linux/netfilter/nfnetlink.h and nf_tables.h.
const (
	subsystemNFTables = 10
	messageGetGen     = 16
	messageNewGen     = 15
)

// nftables asks the kernel for the generation of its rules, which changes
// nothing: true if nf_tables answers.
func nftables() bool {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	message := make([]byte, unix.NLMSG_HDRLEN+4) // and an empty nfgenmsg
	binary.NativeEndian.PutUint32(message, uint32(len(message)))
	binary.NativeEndian.PutUint16(message[4:], subsystemNFTables<<8|messageGetGen)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST)
	if unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return false
	}
	answer := make([]byte, 4096)
	n, err := unix.Read(fd, answer)
	return err == nil && n >= unix.NLMSG_HDRLEN && binary.NativeEndian.Uint16(answer[4:]) == subsystemNFTables<<8|messageNewGen
}
