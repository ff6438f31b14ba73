package firewall

import (
	"errors"
	"os"
	"slices"
	"strings"
)

// The kernel's old interface keeps chains of its own, which nf_tables does not
// show, for a dockerd or ufw that uses iptables-legacy. Its FORWARD chain is
// opened in the same way, by the program. A change there is not told by the
// kernel: it is looked at with each network and with each bridge of dockerd's.

// legacyNames lists the tables of the old interface in a network namespace;
// there is none until somebody has used it.
const legacyNames = "/proc/thread-self/net/ip_tables_names"

// legacy is the program that writes those chains; "" if nobody has any.
func (t *Table) legacy() string {
	path, err := lookProgram("iptables-legacy")
	if err != nil {
		return ""
	}
	names, _ := inside(t.ns, func() (string, error) { // no such file: no such interface
		raw, err := os.ReadFile(legacyNames)
		return string(raw), err
	})
	if !slices.Contains(strings.Fields(names), "filter") {
		return ""
	}
	return path
}

// legacyForward is the chain that Admit writes to, "" if the host's lets pass
// what it does not know.
func (t *Table) legacyForward(program string) (string, error) {
	listed, err := execute(t.ns, "", program, "-w", "-S")
	if err != nil {
		return "", err
	}
	lines, last := strings.Split(strings.TrimSpace(listed), "\n"), ""
	for _, l := range lines {
		if strings.HasPrefix(l, "-A FORWARD ") {
			last = l
		}
	}
	refuses := slices.Contains(lines, "-P FORWARD DROP") || last == "-A FORWARD -j DROP" || strings.HasPrefix(last, "-A FORWARD -j REJECT")
	switch {
	case !refuses:
		return "", nil
	case slices.Contains(lines, "-N "+dockerUser):
		return dockerUser, nil
	}
	return "FORWARD", nil
}

func admitted(link string) [][]string {
	return [][]string{{"-o", link, "-j", "ACCEPT"}, {"-i", link, "-j", "ACCEPT"}}
}

func (t *Table) admitLegacy(links []string) error {
	program := t.legacy()
	if program == "" {
		return nil
	}
	chain, err := t.legacyForward(program)
	if err != nil || chain == "" {
		return err
	}
	for _, link := range links {
		for _, rule := range admitted(link) {
			if _, err := execute(t.ns, "", append([]string{program, "-w", "-C", chain}, rule...)...); err == nil {
				continue
			}
			if _, err := execute(t.ns, "", append([]string{program, "-w", "-I", chain}, rule...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Table) dismissLegacy(links []string) error {
	program := t.legacy()
	if program == "" {
		return nil
	}
	listed, err := execute(t.ns, "", program, "-w", "-S")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.SplitSeq(listed, "\n") {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "-A" || words[1] != "FORWARD" && words[1] != dockerUser {
			continue
		}
		for _, link := range links {
			if slices.ContainsFunc(admitted(link), func(rule []string) bool { return slices.Equal(rule, words[2:]) }) {
				_, err := execute(t.ns, "", append([]string{program, "-w", "-D", words[1]}, words[2:]...)...)
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
