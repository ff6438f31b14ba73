package network

import (
	"context"
	"fmt"

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
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	came() // what came before we looked
	for {
		messages, err := c.Receive()
		if ctx.Err() != nil {
			return nil
		}
		if isErrno(err, unix.ENOBUFS) {
			came()
			err = h.eachBridge(changed)
		}
		if err != nil {
			return fmt.Errorf("cannot watch the host's links: %w", err)
		}
		for _, m := range messages {
			link := parseLink(m.Data)
			if stranger(link) || m.Header.Type == unix.RTM_NEWLINK && toClose(link, nil, true) {
				came()
			}
			if m.Header.Type == unix.RTM_NEWLINK && lastingBridge(link) {
				changed(link)
			}
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
