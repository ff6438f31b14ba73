package firewall

import (
	"fmt"

	"github.com/google/nftables"
)

// setStrangers holds bridges that other engines have their containers on. What
// dockerd accepts in DOCKER-USER on our behalf (Table.Admit) would else pass to
// each of its containers: only what it publishes is for ours.
const setStrangers = "strangers"

func strangerSet(links []string) set {
	s := set{name: setStrangers, key: nftables.TypeIFName}
	for _, l := range links {
		s.add(fmt.Sprintf("%q", l), bridgeKey(l), nil)
	}
	return s
}
