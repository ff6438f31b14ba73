package client

import (
	"context"
	"errors"
)

// protocolError is the answer of a busy daemon of another protocol.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

// Other reports whether the daemon that answered last is another build.
func (p Peer) Other(build string) bool { return p.Build != "" && p.Build != build }

// Greeted reports whether the daemon may be given something to do.
func (c *Client) Greeted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.greeted || c.greet == nil
}

// Ready greets the daemon unless that has been done.
func (c *Client) Ready(ctx context.Context) error {
	c.greeting.Lock()
	defer c.greeting.Unlock()
	if c.Greeted() {
		return nil
	}
	if err := c.greet(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greeted = true
	return nil
}

// Greet makes sure that the daemon can serve this build. It asks for the
// daemon's headers; one of another build that is idle is replaced by calling
// replace (which gives our binary to the keeper and returns when the old daemon
// has ended). A busy one serves us if the protocol is equal; otherwise Greet
// waits until it is idle and tells waiting what for, once per text.
func (c *Client) Greet(ctx context.Context, replace func(context.Context) error, waiting func(text string)) error {
	told := ""
	for attempt := 0; ; attempt++ {
		peer, err := c.Hello(ctx)
		if err != nil {
			return err
		}
		switch {
		case !peer.Other(c.build):
			return nil
		case peer.Busy == "" && replace != nil && attempt < 3:
			c.http.CloseIdleConnections()
			if err := replace(ctx); err != nil {
				return err
			}
			continue
		case peer.Protocol == Protocol:
			return nil
		case replace == nil || peer.Busy == "":
			return errors.New("the daemon is of another version and cannot be replaced")
		}
		if told != peer.Busy {
			told = peer.Busy
			waiting("the daemon of another version is busy with " + peer.Busy)
		}
		pause(ctx, 5)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		attempt = 0
	}
}
