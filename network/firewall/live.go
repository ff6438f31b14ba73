package firewall

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Live reads back which of the state's elements the kernel holds now, one line
// each: "published tcp . 8080 : 10.128.1.2 . 80". It is empty without a table.
func (t *Table) Live(s State) ([]string, error) {
	rules, err := Rules(t.tag, s)
	if err != nil {
		return nil, err
	}
	var lines []string
	err = t.transact(func(c *nftables.Conn) error {
		for i, set := range rules.sets {
			if len(set.elems) == 0 {
				continue
			}
			found, err := c.GetSetElements(rules.handle(i))
			if err != nil {
				return err
			}
			there := map[string]bool{}
			for _, e := range found {
				there[string(e.Key)] = true
			}
			for _, e := range set.elems {
				if there[string(e.key)] {
					lines = append(lines, set.name+" "+e.text)
				}
			}
		}
		return nil
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read table %s: %w", rules.name, err)
	}
	return lines, nil
}
