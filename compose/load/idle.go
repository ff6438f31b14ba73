package load

import (
	"fmt"
	"slices"
	"strings"
)

// idles are the places of keys that have no effect here, by key and reason.
type idles struct {
	keys []string
	at   map[string][]string
}

func (i *idles) note(at Position, key, reason string) {
	key += " " + reason
	if i.at == nil {
		i.at = map[string][]string{}
	}
	if place := at.String(); !slices.Contains(i.at[key], place) {
		i.at[key] = append(i.at[key], place)
	}
	if !slices.Contains(i.keys, key) {
		i.keys = append(i.keys, key)
	}
}

// warnings are one line for each key, however often it stands.
func (i *idles) warnings() []string {
	var out []string
	for _, key := range i.keys {
		at := i.at[key]
		text := at[0] + ": " + key + " and has no effect here"
		if more := at[1:]; len(more) > 3 {
			text += fmt.Sprintf(" (nor in %d other places)", len(more))
		} else if len(more) > 0 {
			text += " (nor at " + strings.Join(more, ", ") + ")"
		}
		out = append(out, text)
	}
	return out
}
