package network

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// WatchLinks calls came for each link of the host that is set up or changes and
// is none of ours, and when one of another engine's bridges comes or goes, and
// changed with each bridge that is set up or changes, but those that we are about
// to delete, until ctx ends, which is no error.
func (h *Host) WatchLinks(ctx context.Context, came func(), changed func(Link)) error {
	config := &netlink.Config{}
	if h.ns != nil {
		config.NetNS = int(h.ns.Fd())
	}
	c, err := netlink.Dial(unix.NETLINK_ROUTE, config)
	if err != nil {
		return fmt.Errorf("cannot watch the host's links: %w", err)
	}
	defer c.Close()
	if err := c.JoinGroup(unix.RTNLGRP_LINK); err != nil {
		return fmt.Errorf("cannot watch the host's links: %w", err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("cannot watch the host's links: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	came() // what came before we looked
	if err := h.eachBridge(changed); err != nil {
		return fmt.Errorf("cannot watch the host's links: %w", err)
	}
	buf := make([]byte, bufferSize)
	for {
		var news linkNews
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			readErr = news.drain(int(fd), buf)
			return news.came || len(news.bridges) > 0 || readErr != nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if news.came || readErr != nil {
			came()
		}
		for _, l := range news.bridges {
			changed(l)
		}
		if errors.Is(readErr, unix.ENOBUFS) { // more than we could read
			readErr = h.eachBridge(changed)
		}
		if err := errors.Join(err, readErr); err != nil {
			return fmt.Errorf("cannot watch the host's links: %w", err)
		}
	}
}

// linkNews are those of the changes of links that WatchLinks tells of.
type linkNews struct {
	came    bool
	bridges []Link
}

// drain reads all that lies there. Each start of a container tells of some ten
// changes of links of ours: they cost a read each and nothing else.
func (w *linkNews) drain(fd int, buf []byte) error {
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return err
		}
		for kind, body := range packets(buf[:n]) {
			w.take(kind, parseLink(body))
		}
	}
}

func (w *linkNews) take(kind uint16, l Link) {
	is := kind == unix.RTM_NEWLINK
	w.came = w.came || stranger(l) || is && toClose(l, nil, true)
	if is && lastingBridge(l) {
		w.bridges = append(w.bridges, l)
	}
}

// packets are the messages of a datagram, netlink(7): type and body.
func packets(data []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(data) >= unix.NLMSG_HDRLEN {
			size := int(binary.NativeEndian.Uint32(data))
			if size < unix.NLMSG_HDRLEN || size > len(data) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(data[4:]), data[unix.NLMSG_HDRLEN:size]) {
				return
			}
			data = data[min(len(data), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		}
	}
}

// lastingBridge leaves out what is about to be deleted.
func lastingBridge(l Link) bool { return l.Kind == "bridge" && l.Group&doomed == 0 }

func (h *Host) eachBridge(visit func(Link)) error {
	links, err := h.Links("")
	for _, l := range links {
		if lastingBridge(l) {
			visit(l)
		}
	}
	return err
}
