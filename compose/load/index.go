package load

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Positions knows where the keys of a project stand: key path, such as
// services.web.ports[0], to place.
type Positions struct {
	at    map[string]Position
	items map[string][]item
	// bases are, by service path, the paths of the services that it extends.
	bases map[string][]string
}

// item is one entry of a list, found again by what it says.
type item struct {
	text string
	at   Position
}

func newPositions() Positions {
	return Positions{at: map[string]Position{}, items: map[string][]item{}, bases: map[string][]string{}}
}

// At returns the place of a key path or of the nearest parent that is known;
// the zero Position if none is.
func (p Positions) At(path string) Position {
	for path != "" {
		if at, ok := p.find(path, 0); ok {
			return at
		}
		path = parentPath(path)
	}
	return Position{}
}

// find looks for exactly this path, in the service itself and in those that it
// extends.
func (p Positions) find(path string, depth int) (Position, bool) {
	if at, ok := p.at[path]; ok {
		return at, true
	}
	if depth > 20 {
		return Position{}, false
	}
	service, rest := splitService(path)
	for _, base := range p.bases[service] {
		if at, ok := p.find(base+rest, depth+1); ok {
			return at, true
		}
	}
	return Position{}, false
}

// item returns the place of the first list entry whose text satisfies match,
// else that of the list.
func (p Positions) item(path string, match func(string) bool) Position {
	service, rest := splitService(path)
	for _, candidate := range append([]string{service}, p.bases[service]...) {
		for _, it := range p.items[candidate+rest] {
			if match(it.text) {
				return it.at
			}
		}
	}
	return p.At(path)
}

// lastItem is item with the last that matches: of several that cannot stand
// beside each other it is the one that came to it.
func (p Positions) lastItem(path string, match func(string) bool) Position {
	service, rest := splitService(path)
	for _, candidate := range append([]string{service}, p.bases[service]...) {
		list := p.items[candidate+rest]
		for i := len(list) - 1; i >= 0; i-- {
			if match(list[i].text) {
				return list[i].at
			}
		}
	}
	return p.At(path)
}

// set records a node; later files win.
func (p Positions) set(path string, at Position) { p.at[path] = at }

func (p Positions) addItem(list, text string, at Position) {
	p.items[list] = append(p.items[list], item{text, at})
}

// splitService cuts "services.web.ports" into "services.web" and ".ports". A
// file's name may stand before (see extendedPath).
func splitService(path string) (service, rest string) {
	i := strings.Index(path, "services.")
	if i < 0 {
		return path, ""
	}
	from := i + len("services.")
	end := strings.IndexAny(path[from:], ".[")
	if end < 0 {
		return path, ""
	}
	return path[:from+end], path[from+end:]
}

// parentPath cuts the last key or index off.
func parentPath(path string) string {
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}

// place is where a node begins.
func (f *file) place(n *yaml.Node) Position {
	return Position{File: f.shown, Line: n.Line, Column: n.Column}
}
