package network

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// LinkKind is how a container's link is made.
type LinkKind string

const (
	// Pair is a veth pair with its host end on a bridge.
	Pair LinkKind = ""
	// Macvlan is a link with a hardware address of its own on a parent of the
	// host. Its modes are bridge, private, vepa and passthru.
	Macvlan LinkKind = "macvlan"
	// IPvlan shares the parent's hardware address. Its modes are l2, l3 and
	// l3s, its flags bridge, private and vepa.
	IPvlan LinkKind = "ipvlan"
)

// linux/if_link.h
var (
	macvlanModes = map[string]uint32{"": 4, "private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
	ipvlanModes  = map[string]uint16{"": 0, "l2": 0, "l3": 1, "l3s": 2}
	ipvlanFlags  = map[string]uint16{"": 0, "bridge": 0, "private": 1, "vepa": 2}
)

// Attributes of kinds of links, linux/if_link.h.
const (
	iflaMacvlanMode = 1
	iflaIPvlanMode  = 1
	iflaIPvlanFlags = 2
	iflaVLANID      = 1
)

// newSub creates a macvlan or ipvlan link in the namespace ns under its final
// name, in one message.
func newSub(parent int, ns uintptr, e Endpoint) (message, error) {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(string(e.Kind)))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	parts := []nl.NetlinkRequestData{
		infoMsg(0), nameAttr(e.Name), numberAttr(unix.IFLA_LINK, uint32(parent)),
		numberAttr(unix.IFLA_NET_NS_FD, uint32(ns)), info,
	}
	if e.MTU > 0 {
		parts = append(parts, numberAttr(unix.IFLA_MTU, uint32(e.MTU)))
	}
	switch e.Kind {
	case Macvlan:
		mode, ok := macvlanModes[e.Mode]
		if !ok {
			return message{}, fmt.Errorf("mode %q is not known", e.Mode)
		}
		data.AddRtAttr(iflaMacvlanMode, nl.Uint32Attr(mode))
		if e.Mode != "passthru" { // which has the parent's
			parts = append(parts, nl.NewRtAttr(unix.IFLA_ADDRESS, e.MAC))
		}
	case IPvlan:
		mode, known := ipvlanModes[e.Mode]
		flag, ok := ipvlanFlags[e.Flag]
		if !ok || !known {
			return message{}, fmt.Errorf("mode %q, flag %q is not known", e.Mode, e.Flag)
		}
		data.AddRtAttr(iflaIPvlanMode, nl.Uint16Attr(mode))
		data.AddRtAttr(iflaIPvlanFlags, nl.Uint16Attr(flag))
	default:
		return message{}, fmt.Errorf("link kind %s is not known", e.Kind)
	}
	return message{kind: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, parts: parts}, nil
}

// ErrNoModule means that the kernel cannot make links of a kind.
var ErrNoModule = errors.New("this kernel cannot make such a link")

// explain names the module that is missing.
func (k LinkKind) explain(err error) error {
	if k != Pair && isErrno(err, unix.EOPNOTSUPP) {
		return noModule(string(k), err)
	}
	return err
}

func noModule(kind string, err error) error {
	module, config := kind, strings.ToUpper(kind)
	if kind == "vlan" {
		module, config = "8021q", "VLAN_8021Q"
	}
	return fmt.Errorf("%w: it has no module %s (CONFIG_%s): %w", ErrNoModule, module, config, err)
}

// CanMake says whether the kernel can make links of a kind, by making one in a
// namespace of its own. It is ErrNoModule if not.
func CanMake(kind LinkKind) error {
	ns, err := NewNamespace()
	if err != nil {
		return err
	}
	defer ns.Close()
	return inNamespace(ns, func(s *socket) error {
		if err := s.batch(newBridge(Bridge{Name: "parent"}, []byte{2, 0, 0, 0, 0, 1})); err != nil {
			return err
		}
		index, err := s.indexes()
		if err != nil {
			return err
		}
		sub, err := newSub(index["parent"], ns.Fd(), Endpoint{Kind: kind, Name: "sub", MAC: []byte{2, 0, 0, 0, 0, 2}})
		if err != nil {
			return err
		}
		// ipvlan refuses a bridge as its parent, after it was found.
		if err := s.batch(sub); isErrno(err, unix.EOPNOTSUPP) {
			return noModule(string(kind), err)
		}
		return nil
	})
}

// EnsureParent makes sure that a link stands, and is up, that macvlan and ipvlan
// links can share. What the host does not have it makes: a link that leads
// nowhere, or else the VLAN that a name such as eth0.10 means. It reports
// whether it made it; then DeleteLinks is its inverse.
func (h *Host) EnsureParent(name string, nowhere bool, group uint32) (made bool, err error) {
	l, err := h.link(name)
	if err == nil {
		if !l.Up {
			err = h.sock.batch(linkUp(l.Index))
		}
		return false, err
	}
	if !isErrno(err, unix.ENODEV) {
		return false, err
	}
	if nowhere {
		err = h.sock.batch(newSimple(name, "dummy", group))
		if isErrno(err, unix.EOPNOTSUPP) {
			err = noModule("dummy", err)
		}
		return err == nil, err
	}
	base, word, ok := cutLast(name, ".")
	id, failed := strconv.ParseUint(word, 10, 12)
	if !ok || failed != nil || id == 0 || id == 4095 {
		return false, fmt.Errorf("the host has no network device %s", name)
	}
	l, err = h.link(base)
	if isErrno(err, unix.ENODEV) {
		return false, fmt.Errorf("the host has no network device %s, nor %s", name, base)
	}
	if err != nil {
		return false, err
	}
	err = h.sock.batch(newVLAN(name, l.Index, uint16(id), group))
	if isErrno(err, unix.EOPNOTSUPP) {
		err = noModule("vlan", err)
	}
	return err == nil, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i <= 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// newSimple creates a link of a kind without settings that is up.
func newSimple(name, kind string, group uint32) message {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	return message{
		kind: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL,
		parts: []nl.NetlinkRequestData{upMsg(0), nameAttr(name), numberAttr(unix.IFLA_GROUP, group), info},
	}
}

func newVLAN(name string, parent int, id uint16, group uint32) message {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("vlan"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(iflaVLANID, nl.Uint16Attr(id))
	return message{
		kind: unix.RTM_NEWLINK, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL,
		parts: []nl.NetlinkRequestData{
			upMsg(0), nameAttr(name), numberAttr(unix.IFLA_LINK, uint32(parent)), numberAttr(unix.IFLA_GROUP, group), info,
		},
	}
}
