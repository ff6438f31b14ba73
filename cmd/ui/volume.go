package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// VolumeInspect is the answer of volume inspect, with docker's fields.
type VolumeInspect struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

// InspectVolumes is volume inspect.
func (s *Screen) InspectVolumes(volumes []spec.Volume) error {
	out := []VolumeInspect{}
	for _, v := range volumes {
		out = append(out, VolumeInspect{
			CreatedAt: v.CreatedAt.Format(time.RFC3339), Driver: cmp.Or(v.Driver, "local"), Labels: v.Labels,
			Mountpoint: v.Mountpoint, Name: v.Name, Options: v.Options, Scope: "local",
		})
	}
	data, err := json.MarshalIndent(out, "", "    ")
	if err != nil {
		return fmt.Errorf("cannot write JSON: %w", err)
	}
	s.Println(string(data))
	return nil
}
