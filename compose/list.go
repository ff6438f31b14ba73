package compose

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// ProjectRow is one project as ls shows it.
type ProjectRow struct {
	Name string `json:"name"`
	// States counts the containers by state.
	States map[spec.State]int `json:"states"`
	// ConfigFiles as the labels say, commas between.
	ConfigFiles string `json:"configFiles"`
}

// Status reads "exited(1), running(3)".
func (r ProjectRow) Status() string {
	var words []string
	for _, s := range slices.Sorted(maps.Keys(r.States)) {
		words = append(words, fmt.Sprintf("%s(%d)", s, r.States[s]))
	}
	return strings.Join(words, ", ")
}

// List returns the projects that have containers, by name: without all only
// those of which one runs.
func (c *Compose) List(ctx context.Context, all bool) ([]ProjectRow, error) {
	containers, err := c.Backend.Containers(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	rows := map[string]*ProjectRow{}
	up := map[string]bool{}
	for _, container := range containers {
		labels := container.Blueprint.Labels
		name := labels[state.LabelProject]
		if name == "" || labels[state.LabelOneOff] == "True" {
			continue
		}
		row := rows[name]
		if row == nil {
			row = &ProjectRow{Name: name, States: map[spec.State]int{}, ConfigFiles: labels[state.LabelConfigFiles]}
			rows[name] = row
		}
		row.States[container.Status.State]++
		up[name] = up[name] || container.Status.Up()
	}
	out := []ProjectRow{}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		if all || up[name] {
			out = append(out, *rows[name])
		}
	}
	return out, nil
}
