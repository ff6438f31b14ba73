package firewall

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// An accept in our table does not overrule a drop in another: every base chain
// of a hook has its say. dockerd and ufw give iptables' FORWARD chain the policy
// drop. So two rules of ours go to the head of such a chain, or into
// DOCKER-USER where dockerd keeps that for others:
//
//	iifname "mc<tag>*" counter accept
//	oifname "mc<tag>*" counter accept
//
// Nothing is opened by them that our own table does not let through. They have
// the form in which iptables-nft writes -i mc<tag>+ -j ACCEPT, so that it lists
// them; a bridge with a name of its user's has two rules of its own. A chain whose last rule refuses everything (firewalld's filter_FORWARD,
// iptables-services) is opened in the same way, and so are those of iptables-legacy.

// dockerUser is the chain that dockerd passes first and never changes.
const dockerUser = "DOCKER-USER"

// Admit lets links through the forward chains of others that refuse what they do
// not know. A link is a name, or with a + at its end, as in iptables(8), all
// names that begin so. It is to be called again with each new network, as dockerd
// may come later; rules that stand are not written twice.
func (t *Table) Admit(links ...string) error {
	err := t.foreign(droppers, func(c *nftables.Conn, chain *nftables.Chain) error {
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return err
		}
		for _, link := range links {
			if len(ours(rules, link)) > 0 {
				continue
			}
			for _, key := range []expr.MetaKey{expr.MetaKeyOIFNAME, expr.MetaKeyIIFNAME} {
				c.InsertRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: []expr.Any{
					meta(key, reg1), equal(reg1, compared(link)...),
					&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept},
				}})
			}
		}
		return nil
	})
	if err = errors.Join(err, t.admitLegacy(links)); err != nil {
		return fmt.Errorf("cannot let %s through the host's forward rules: %w", strings.Join(links, " "), err)
	}
	return nil
}

// Dismiss takes out what Admit wrote; nothing there is success. A chain may no
// longer refuse what it does not know, and so it looks at all of them.
func (t *Table) Dismiss(links ...string) error {
	err := t.foreign(writable, func(c *nftables.Conn, chain *nftables.Chain) error {
		rules, err := c.GetRules(chain.Table, chain)
		if err != nil {
			return err
		}
		for _, link := range links {
			for _, r := range ours(rules, link) {
				if err := c.DelRule(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err = errors.Join(err, t.dismissLegacy(links)); err != nil {
		return fmt.Errorf("cannot take %s out of the host's forward rules: %w", strings.Join(links, " "), err)
	}
	return nil
}

// compared is what iptables-nft compares a link's name with: a whole name has its
// end with it.
func compared(link string) []byte {
	if prefix, ok := strings.CutSuffix(link, "+"); ok {
		return []byte(prefix)
	}
	return append([]byte(link), 0)
}

// foreign calls change for each of the host's chains that pick chooses, and sends
// all in one transaction. If another program changes such a chain at the same time,
// it looks again.
func (t *Table) foreign(pick picker, change func(*nftables.Conn, *nftables.Chain) error) error {
	const tries = 5
	var err error
	for range tries {
		err = t.transact(func(c *nftables.Conn) error {
			all, err := c.ListChains()
			if err != nil {
				return err
			}
			chains, err := pick(c, all)
			if err != nil {
				return err
			}
			for _, chain := range chains {
				if err := change(c, chain); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return err
}

// picker chooses some of the host's chains.
type picker func(c *nftables.Conn, all []*nftables.Chain) ([]*nftables.Chain, error)

// droppers picks, per table that has a forward chain which refuses what it does
// not know, the chain to write to.
func droppers(c *nftables.Conn, all []*nftables.Chain) ([]*nftables.Chain, error) {
	type table struct {
		family nftables.TableFamily
		name   string
	}
	user := map[table]*nftables.Chain{}
	for _, chain := range all {
		if chain.Name == dockerUser {
			user[table{chain.Table.Family, chain.Table.Name}] = chain
		}
	}
	var found []*nftables.Chain
	for _, chain := range all {
		if !forwards(chain) {
			continue
		}
		refuses := chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop
		if !refuses {
			rules, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return nil, err
			}
			refuses = len(rules) > 0 && refusesAll(rules[len(rules)-1])
		}
		if !refuses {
			continue
		}
		if u := user[table{chain.Table.Family, chain.Table.Name}]; u != nil {
			chain = u
		}
		found = append(found, chain)
	}
	return found, nil
}

// writable picks the chains that droppers may ever have picked.
func writable(_ *nftables.Conn, all []*nftables.Chain) ([]*nftables.Chain, error) {
	return slices.DeleteFunc(slices.Clone(all), func(chain *nftables.Chain) bool {
		return !forwards(chain) && chain.Name != dockerUser
	}), nil
}

// forwards reports whether a chain is a forward chain of others for IPv4.
func forwards(chain *nftables.Chain) bool {
	ip := chain.Table.Family == nftables.TableFamilyIPv4 || chain.Table.Family == nftables.TableFamilyINet
	forward := chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward && chain.Type == nftables.ChainTypeFilter
	return ip && forward && !strings.HasPrefix(chain.Table.Name, tablePrefix)
}

// refusesAll reports whether a rule drops or rejects without any condition.
func refusesAll(r *nftables.Rule) bool {
	for _, e := range r.Exprs {
		switch e := e.(type) {
		case *expr.Counter, *expr.Log:
		case *expr.Verdict:
			return e.Kind == expr.VerdictDrop
		case *expr.Reject:
			return true
		case *expr.Target: // of iptables-nft
			return e.Name == "REJECT"
		default:
			return false
		}
	}
	return false
}

// ours are those of a chain's rules that Admit wrote for a link.
func ours(rules []*nftables.Rule, link string) []*nftables.Rule {
	var found []*nftables.Rule
	for _, r := range rules {
		if len(r.Exprs) != 4 {
			continue
		}
		m, isMeta := r.Exprs[0].(*expr.Meta)
		cmp, isCmp := r.Exprs[1].(*expr.Cmp)
		_, isCounter := r.Exprs[2].(*expr.Counter)
		v, isVerdict := r.Exprs[3].(*expr.Verdict)
		if isMeta && isCmp && isCounter && isVerdict && v.Kind == expr.VerdictAccept &&
			(m.Key == expr.MetaKeyIIFNAME || m.Key == expr.MetaKeyOIFNAME) && bytes.Equal(cmp.Data, compared(link)) {
			found = append(found, r)
		}
	}
	return found
}
