package network

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Listener is a TCP socket that listens.
type Listener struct {
	Port uint16
	// Queued is how many connections wait for accept(2).
	Queued int
}

// Listeners are those of a network namespace, of both families. They are asked
// for by sock_diag(7), which looks at listening sockets only: /proc/net/tcp goes
// through the table of all connections of the machine, some milliseconds each
// time. A kernel without tcp_diag answers with unix.ENOENT.
func Listeners(ns *os.File) ([]Listener, error) {
	var found []Listener
	err := Do(ns, func() error {
		s, err := openNetlink(unix.NETLINK_SOCK_DIAG)
		if err != nil {
			return err
		}
		defer s.close()
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			err := s.ask(listListeners(family), func(body []byte) {
				if l, ok := parseListener(body); ok {
					found = append(found, l)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list listening sockets: %w", err)
	}
	return found, nil
}

// From linux/sock_diag.h, linux/inet_diag.h and linux/tcp_states.h.
const (
	sockDiagByFamily  = 20
	sizeofInetDiagReq = 56
	sizeofInetDiagMsg = 72
	tcpListen         = 10
)

// diagRequest is an inet_diag_req_v2.
type diagRequest [sizeofInetDiagReq]byte

// Len implements nl.NetlinkRequestData.
func (r *diagRequest) Len() int { return len(r) }

// Serialize implements nl.NetlinkRequestData.
func (r *diagRequest) Serialize() []byte { return r[:] }

func listListeners(family byte) message {
	r := &diagRequest{family, unix.IPPROTO_TCP}
	binary.NativeEndian.PutUint32(r[4:], 1<<tcpListen)
	return message{kind: sockDiagByFamily, flags: unix.NLM_F_DUMP, parts: []nl.NetlinkRequestData{r}}
}

// parseListener reads an inet_diag_msg.
func parseListener(body []byte) (Listener, bool) {
	if len(body) < sizeofInetDiagMsg || body[1] != tcpListen {
		return Listener{}, false
	}
	return Listener{
		Port:   binary.BigEndian.Uint16(body[4:]),
		Queued: int(binary.NativeEndian.Uint32(body[56:])),
	}, true
}
