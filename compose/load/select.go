package load

import (
	"fmt"
	"slices"
)

// Select leaves in the result only the named services and what they depend on,
// for `config SERVICE…`; none leaves all. The result is for printing then.
func (r *Result) Select(services ...string) error {
	if len(services) == 0 {
		return nil
	}
	selected, err := r.merged.WithSelectedServices(services)
	if err != nil {
		return fmt.Errorf("cannot select services: %w", err)
	}
	r.merged = selected
	keep := r.Project.WithDependencies(services...)
	for name := range r.Project.Services {
		if !slices.Contains(keep, name) {
			delete(r.Project.Services, name)
		}
	}
	return nil
}
