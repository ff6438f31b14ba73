package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

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

// set writes a set of single keys, number is its own in the transaction.
func (b *batch) set(r Ruleset, s set, number uint32) error {
	return b.add(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE, byte(r.family), 0, []netlink.Attribute{
		{Type: unix.NFTA_SET_TABLE, Data: zeroTerminated(r.name)},
		{Type: unix.NFTA_SET_NAME, Data: zeroTerminated(s.name)},
		{Type: unix.NFTA_SET_ID, Data: binaryutil.BigEndian.PutUint32(number)},
		{Type: unix.NFTA_SET_FLAGS, Data: binaryutil.BigEndian.PutUint32(0)},
		{Type: unix.NFTA_SET_KEY_TYPE, Data: binaryutil.BigEndian.PutUint32(s.key.GetNFTMagic())},
		{Type: unix.NFTA_SET_KEY_LEN, Data: binaryutil.BigEndian.PutUint32(s.key.Bytes)},
	})
}

// elements puts elements into a set, or takes them out, with an acknowledgement.
func (b *batch) elements(message uint16, r Ruleset, s set) error {
	for part := range slices.Chunk(s.elems, chunk) {
		list := make([]netlink.Attribute, len(part))
		for i, e := range part {
			value, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_DATA_VALUE, Data: e.key}})
			if err != nil {
				return err
			}
			key, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NLA_F_NESTED | unix.NFTA_SET_ELEM_KEY, Data: value}})
			if err != nil {
				return err
			}
			list[i] = netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: key}
		}
		data, err := netlink.MarshalAttributes(list)
		if err != nil {
			return err
		}
		flags := uint16(unix.NLM_F_ACK)
		if message == unix.NFT_MSG_NEWSETELEM {
			flags |= unix.NLM_F_CREATE
		}
		err = b.add(unix.NFNL_SUBSYS_NFTABLES<<8|message, flags, byte(r.family), 0, []netlink.Attribute{
			{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: zeroTerminated(r.name)},
			{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: zeroTerminated(s.name)},
			{Type: unix.NLA_F_NESTED | unix.NFTA_SET_ELEM_LIST_ELEMENTS, Data: data},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// changeBatch puts elements into a table's sets and takes others out, nil if there
// are none. One that is missing is put in first, as Table.Change does it.
func changeBatch(r Ruleset, put, take []set) (*batch, error) {
	b := &batch{}
	errs := []error{b.add(batchBegin, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)}
	n := 0
	for _, s := range take {
		errs = append(errs, b.elements(unix.NFT_MSG_NEWSETELEM, r, s), b.elements(unix.NFT_MSG_DELSETELEM, r, s))
		n += len(s.elems)
	}
	for _, s := range put {
		errs = append(errs, b.elements(unix.NFT_MSG_NEWSETELEM, r, s))
		n += len(s.elems)
	}
	if n == 0 {
		return nil, errors.Join(errs...)
	}
	errs = append(errs, b.add(batchEnd, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil))
	return b, errors.Join(errs...)
}

func zeroTerminated(s string) []byte { return append([]byte(s), 0) }

// tableBatch writes a table, of which each set is one of single keys. It fails
// with EEXIST if there is one of that name, or, if that is to be replaced, with
// ENOENT if there is none.
func tableBatch(r Ruleset, replace bool) (*batch, error) {
	b := &batch{}
	errs := []error{b.add(batchBegin, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil)}
	if replace {
		errs = append(errs, b.table(unix.NFT_MSG_DELTABLE, 0, r))
	}
	// The one acknowledgement comes once the transaction is through.
	errs = append(errs, b.table(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, r))
	for i, s := range r.sets {
		errs = append(errs, b.set(r, s, uint32(i+1)), b.elements(unix.NFT_MSG_NEWSETELEM, r, s))
	}
	for _, c := range r.chains {
		errs = append(errs, b.chain(r, c))
		for _, rule := range c.rules {
			errs = append(errs, b.rule(r, c, rule.exprs))
		}
	}
	errs = append(errs, b.add(batchEnd, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil))
	return b, errors.Join(errs...)
}

// dropBatch takes a table away; it fails with ENOENT if there is none.
func dropBatch(r Ruleset) (*batch, error) {
	b := &batch{}
	return b, errors.Join(
		b.add(batchBegin, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil),
		b.table(unix.NFT_MSG_DELTABLE, unix.NLM_F_ACK, r),
		b.add(batchEnd, 0, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES, nil),
	)
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

// sendAgain is send by a socket that has sent before: what it was answered after
// a failure may still lie in it.
func (b *batch) sendAgain(fd int) error {
	answer := make([]byte, 8192)
	for {
		_, _, err := unix.Recvfrom(fd, answer, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return b.sendOn(fd)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
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
