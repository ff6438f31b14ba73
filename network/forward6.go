package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// allForwarding is the switch of all IPv6 forwarding; there is none by link.
const allForwarding = "ipv6/conf/all/forwarding"

// Forward6 turns on IPv6 forwarding of h for the user tag, as Forward does that
// of IPv4. A host that forwards takes no router advertisements any more, which
// would cost it its own IPv6 some time later: links that took them are told to
// go on (accept_ra 2, Documentation/networking/ip-sysctl of Linux).
func (l *HostLock) Forward6(h *Host, tag string) error {
	if err := l.forward6(h, tag); err != nil {
		return fmt.Errorf("cannot turn on IPv6 forwarding: %w", err)
	}
	return nil
}

func (l *HostLock) forward6(h *Host, tag string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.usersDir(forward6), 0o700); err != nil {
		return err
	}
	users, err := l.users(forward6, boot)
	if err != nil {
		return err
	}
	if len(users) == 0 {
		prior, err := h.prior6()
		if err != nil {
			return err
		}
		if err := writeStamped(l.priorFile(forward6), boot, strings.Join(prior, "\n")); err != nil {
			return err
		}
	}
	if !slices.Contains(users, tag) {
		if err := l.closeRouter(h, forward6, boot); err != nil {
			return err
		}
	}
	if err := writeStamped(filepath.Join(l.usersDir(forward6), tag), boot, ""); err != nil {
		return err
	}
	text, _ := readStamped(l.priorFile(forward6), boot)
	_, takers, _ := strings.Cut(text, "\n")
	return h.inside(func() error {
		return errors.Join(setRouterAdvertisements(takers, "2"), sysctl{allForwarding, "1", false}.write())
	})
}

// Release6 is the inverse of Forward6; the last user restores what was before
// the first, as Release does; going are bridges that are about to go. Repeating it, and never having used it, is success.
func (l *HostLock) Release6(h *Host, tag string, going ...string) error {
	if err := l.release6(h, tag, going); err != nil {
		return fmt.Errorf("cannot give IPv6 forwarding back: %w", err)
	}
	return nil
}

func (l *HostLock) release6(h *Host, tag string, going []string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	users, err := l.users(forward6, boot)
	if err != nil {
		return err
	}
	mine := slices.Contains(users, tag)
	last, needed := len(users) == 0 || mine && len(users) == 1, false
	if last {
		if needed, err = l.restore(h, forward6, boot, tag, going); err != nil {
			return err
		}
	}
	if prior, ok := l.prior(forward6, boot); last && !needed && ok && prior == "0" {
		text, _ := readStamped(l.priorFile(forward6), boot)
		_, takers, _ := strings.Cut(text, "\n")
		if err := h.inside(func() error { return setRouterAdvertisements(takers, "1") }); err != nil {
			return err
		}
	}
	err = os.Remove(filepath.Join(l.usersDir(forward6), tag))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if last && !needed {
		return os.RemoveAll(filepath.Join(l.dir, forward6))
	}
	return nil
}

// prior6 is how the host forwards now, and the links that take router
// advertisements only while it does not.
func (h *Host) prior6() (prior []string, err error) {
	err = h.inside(func() error {
		forwards, err := readSysctl(allForwarding)
		if errors.Is(err, fs.ErrNotExist) {
			return errors.New("this host has no IPv6 (ipv6.disable of the kernel's command line)")
		}
		if err != nil {
			return err
		}
		prior = []string{forwards}
		if forwards != "0" {
			return nil
		}
		links, err := os.ReadDir("/proc/sys/net/ipv6/conf")
		if err != nil {
			return err
		}
		for _, link := range links {
			if takes, err := readSysctl("ipv6/conf/" + link.Name() + "/accept_ra"); err == nil && takes == "1" && link.Name() != "all" {
				prior = append(prior, link.Name())
			}
		}
		return nil
	})
	return prior, err
}

// setRouterAdvertisements writes accept_ra of links, one a line; one that is
// gone is left out.
func setRouterAdvertisements(links, value string) error {
	var errs []error
	for name := range strings.FieldsSeq(links) {
		errs = append(errs, sysctl{"ipv6/conf/" + name + "/accept_ra", value, true}.write())
	}
	return errors.Join(errs...)
}
