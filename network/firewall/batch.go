package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// batch is one nf_tables transaction as the kernel takes it, in one datagram.
// It exists beside the library's connection for tables of a container's own
// namespace, which are written once: a socket, one message, one answer, without
// an acknowledgement and an echo of each rule.
type batch struct {
	buf []byte
	seq uint32
}

// Message types that x/sys does not name, linux/netfilter/nfnetlink.h.
const (
	batchBegin = 0x10
	batchEnd   = 0x11
)

// add appends a message: nlmsghdr, nfgenmsg, attributes.
func (b *batch) add(kind, flags uint16, family byte, resource uint16, attrs []netlink.Attribute) error {
	body, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	b.seq++
	head := make([]byte, unix.SizeofNlMsghdr+4)
	binary.NativeEndian.PutUint32(head[0:], uint32(len(head)+len(body)))
	binary.NativeEndian.PutUint16(head[4:], kind)
	binary.NativeEndian.PutUint16(head[6:], flags|unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(head[8:], b.seq)
	head[16] = family
	binary.BigEndian.PutUint16(head[18:], resource)
	b.buf = append(append(b.buf, head...), body...)
	return nil
}

func (b *batch) table(message, flags uint16, r Ruleset) error {
	return b.add(unix.NFNL_SUBSYS_NFTABLES<<8|message, flags, byte(r.family), 0, []netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: zeroTerminated(r.name)},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(r.flags())},
	})
}

func (b *batch) chain(r Ruleset, c chain) error {
	hook, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_HOOK_HOOKNUM, Data: binaryutil.BigEndian.PutUint32(uint32(*c.hook))},
		{Type: unix.NFTA_HOOK_PRIORITY, Data: binaryutil.BigEndian.PutUint32(uint32(c.priority))},
	})
	if err != nil {
		return err
	}
	return b.add(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, byte(r.family), 0, []netlink.Attribute{
		{Type: unix.NFTA_CHAIN_TABLE, Data: zeroTerminated(r.name)},
		{Type: unix.NFTA_CHAIN_NAME, Data: zeroTerminated(c.name)},
		{Type: unix.NLA_F_NESTED | unix.NFTA_CHAIN_HOOK, Data: hook},
		{Type: unix.NFTA_CHAIN_TYPE, Data: zeroTerminated(string(c.kind))},
	})
}

func (b *batch) rule(r Ruleset, c chain, exprs []expr.Any) error {
	list := make([]netlink.Attribute, len(exprs))
	for i, e := range exprs {
		data, err := expr.Marshal(byte(r.family), e)
		if err != nil {
			return err
		}
		list[i] = netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data}
	}
	data, err := netlink.MarshalAttributes(list)
	if err != nil {
		return err
	}
	flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_APPEND)
	return b.add(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE, flags, byte(r.family), 0, []netlink.Attribute{
		{Type: unix.NFTA_RULE_TABLE, Data: zeroTerminated(r.name)},
		{Type: unix.NFTA_RULE_CHAIN, Data: zeroTerminated(c.name)},
		{Type: unix.NLA_F_NESTED | unix.NFTA_RULE_EXPRESSIONS, Data: data},
	})
}

func zeroTerminated(s string) []byte { return append([]byte(s), 0) }

// tableBatch writes a table without sets. It fails with EEXIST if there is one
// of that name, unless that is to be replaced.
func tableBatch(r Ruleset, replace bool) (*batch, error) {
	b := &batch{}
	errs := []error{b.add(batchBegin, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)}
	if replace { // added before it is deleted, so that there is one
		errs = append(errs, b.table(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, r), b.table(unix.NFT_MSG_DELTABLE, 0, r))
	}
	// The one acknowledgement comes once the transaction is through.
	errs = append(errs, b.table(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, r))
	for _, c := range r.chains {
		errs = append(errs, b.chain(r, c))
		for _, rule := range c.rules {
			errs = append(errs, b.rule(r, c, rule.exprs))
		}
	}
	errs = append(errs, b.add(batchEnd, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil))
	return b, errors.Join(errs...)
}

// send writes the batch into the namespace of the calling thread. The kernel
// has worked on it, and answered, when it has been sent.
func (b *batch) send() error {
	socket, err := b.sendAndHold()
	if err == nil {
		err = socket.Close()
	}
	return err
}

// sendAndHold is send, and gives the socket that what was written may belong to.
func (b *batch) sendAndHold() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	if err := b.sendOn(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "rules"), nil
}

// sendOn is send by a fresh socket of NETLINK_NETFILTER.
func (b *batch) sendOn(fd int) error {
	if err := unix.Sendto(fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 8192)
	acknowledged := false
	for {
		n, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && acknowledged:
			return nil
		case errors.Is(err, unix.EAGAIN):
			return errors.New("the kernel does not answer")
		case err != nil:
			return err
		}
		ok, err := acknowledgements(answer[:n])
		if err != nil {
			return err
		}
		acknowledged = acknowledged || ok
	}
}

// acknowledgements reads answers, nlmsgerr each: the first error, or whether
// there was one of success.
func acknowledgements(b []byte) (ok bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr+4 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr+4 || size > len(b) {
			return ok, fmt.Errorf("an answer of %d bytes", size)
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
			if code := int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); code != 0 {
				return ok, unix.Errno(-code)
			}
			ok = true
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return ok, nil
}
