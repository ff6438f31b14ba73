package firewall

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
)

// String is the ruleset in the language of nft(8), for people and for golden
// tests; nft -c -f reads it.
func (r Ruleset) String() string {
	var b strings.Builder
	family := "inet"
	if r.family == nftables.TableFamilyIPv4 {
		family = "ip"
	}
	fmt.Fprintf(&b, "table %s %s {\n", family, r.name)
	if r.owned {
		b.WriteString("\tflags owner\n")
	}
	for _, s := range r.sets {
		s.print(&b)
	}
	for _, c := range r.chains {
		c.print(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

func (s set) print(b *strings.Builder) {
	if s.isMap() {
		fmt.Fprintf(b, "\tmap %s {\n\t\ttype %s : %s\n", s.name, s.key.Name, s.value.Name)
	} else {
		fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n", s.name, s.key.Name)
	}
	if s.ranges {
		b.WriteString("\t\tflags interval\n")
	}
	if len(s.elems) > 0 {
		b.WriteString("\t\telements = {\n")
		for _, e := range s.elems {
			fmt.Fprintf(b, "\t\t\t%s,\n", e.text)
		}
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n")
}

// hookNames are in the order of linux/netfilter.h.
func hookNames() []string { return []string{"prerouting", "input", "forward", "output", "postrouting"} }

func (c chain) print(b *strings.Builder) {
	fmt.Fprintf(b, "\tchain %s {\n", c.name)
	if c.hook != nil {
		fmt.Fprintf(b, "\t\ttype %s hook %s priority %d; policy accept;\n", c.kind, hookNames()[*c.hook], c.priority)
	}
	for _, r := range c.rules {
		fmt.Fprintf(b, "\t\t%s\n", r.text)
	}
	b.WriteString("\t}\n")
}
