package dns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// How long one upstream may take, and how many are asked.
const (
	upstreamTimeout = 2 * time.Second
	maxUpstreams    = 3
	maxUDPAnswer    = 16 << 10 // bytes
)

// headerSize is the fixed part of a message (RFC 1035 4.1.1).
const headerSize = 12

// Forward asks the upstreams in order, by "udp" or "tcp", and returns the first
// answer that is neither SERVFAIL nor REFUSED, else the last answer at all. raw
// is a packed query; its id is replaced by a random one on the way, each
// question leaves from a port of its own, and an answer counts only if it comes
// from the upstream, with that id, to that very question.
func Forward(ctx context.Context, network string, raw []byte, upstreams []netip.AddrPort) ([]byte, error) {
	if len(upstreams) == 0 {
		return nil, errors.New("cannot forward a question: no upstream is set")
	}
	end, err := questionEnd(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot forward a question: %w", err)
	}
	var last []byte
	var errs []error
	for _, to := range upstreams[:min(len(upstreams), maxUpstreams)] {
		answer, err := exchange(ctx, network, raw, end, to)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot ask upstream %s: %w", to, err))
			continue
		}
		last = answer
		if code := answer[3] & 0xf; code != dns.RcodeServerFailure && code != dns.RcodeRefused {
			break
		}
	}
	if last == nil {
		return nil, errors.Join(errs...)
	}
	return last, nil
}

// exchange asks one upstream.
func exchange(ctx context.Context, network string, raw []byte, end int, to netip.AddrPort) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()

	query := bytes.Clone(raw)
	_, _ = rand.Read(query[:2]) // never fails, see crypto/rand
	read := func() ([]byte, error) { return readTCP(c) }
	if network == "udp" {
		_, err = c.Write(query)
		buf := make([]byte, maxUDPAnswer)
		read = func() ([]byte, error) {
			n, err := c.Read(buf)
			return buf[:n], err
		}
	} else {
		err = writeTCP(c, query)
	}
	if err != nil {
		return nil, err
	}
	for {
		answer, err := read()
		if err != nil {
			return nil, err
		}
		if !answers(query, end, answer) {
			if network == "udp" {
				continue // forged or late; the true one may follow
			}
			return nil, errors.New("the answer is not to our question")
		}
		answer = bytes.Clone(answer)
		copy(answer[:2], raw[:2])
		return answer, nil
	}
}

// answers says whether a message is the response to query, whose question ends
// at end.
func answers(query []byte, end int, m []byte) bool {
	const response = 0x80
	return len(m) >= end && m[2]&response != 0 &&
		bytes.Equal(m[:2], query[:2]) && bytes.Equal(m[4:6], query[4:6]) &&
		bytes.Equal(m[headerSize:end], query[headerSize:end])
}

// questionEnd is where the only question of a packed query ends.
func questionEnd(raw []byte) (int, error) {
	if len(raw) < headerSize || binary.BigEndian.Uint16(raw[4:]) != 1 {
		return 0, errors.New("not one question")
	}
	at := headerSize
	for at < len(raw) && raw[at] != 0 {
		if raw[at] > 63 {
			return 0, errors.New("the name in the question is compressed")
		}
		at += int(raw[at]) + 1
	}
	const typeAndClass = 4
	if at += 1 + typeAndClass; at > len(raw) {
		return 0, errors.New("the question is cut off")
	}
	return at, nil
}

// shorten makes an upstream's answer fit into size; the asker comes again by
// TCP.
func shorten(answer []byte, size int) ([]byte, error) {
	var m dns.Msg
	if err := m.Unpack(answer); err != nil {
		return nil, err
	}
	m.Truncate(size)
	return m.Pack()
}
