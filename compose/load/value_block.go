package load

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

// blockChecks are those of blkio_config.
func blockChecks(set func(valueCheck, string)) {
	set(wholeNumber(10, 1000), "services.*.blkio_config.weight services.*.blkio_config.weight_device[].weight")
	set(checkDevicePath, `services.*.blkio_config.weight_device[].path
		services.*.blkio_config.device_read_bps[].path services.*.blkio_config.device_write_bps[].path
		services.*.blkio_config.device_read_iops[].path services.*.blkio_config.device_write_iops[].path`)
	set(checkSize, "services.*.blkio_config.device_read_bps[].rate services.*.blkio_config.device_write_bps[].rate")
	set(wholeNumber(1, 1<<31), "services.*.blkio_config.device_read_iops[].rate services.*.blkio_config.device_write_iops[].rate")
}

// blockList is one list of blkio_config: what it says of each device, and where
// that goes to.
type blockList struct {
	key, value string
	entries    []types.ThrottleDevice
	to         func(d *model.BlockDevice) *int64
}

func blockLists(c *types.BlkioConfig) []blockList {
	var weights []types.ThrottleDevice
	for _, w := range c.WeightDevice {
		weights = append(weights, types.ThrottleDevice{Path: w.Path, Rate: types.UnitBytes(w.Weight)})
	}
	return []blockList{
		{"weight_device", "weight", weights, func(d *model.BlockDevice) *int64 { return &d.Weight }},
		{"device_read_bps", "rate", c.DeviceReadBps, func(d *model.BlockDevice) *int64 { return &d.ReadBPS }},
		{"device_write_bps", "rate", c.DeviceWriteBps, func(d *model.BlockDevice) *int64 { return &d.WriteBPS }},
		{"device_read_iops", "rate", c.DeviceReadIOps, func(d *model.BlockDevice) *int64 { return &d.ReadIOPS }},
		{"device_write_iops", "rate", c.DeviceWriteIOps, func(d *model.BlockDevice) *int64 { return &d.WriteIOPS }},
	}
}

// blockIsWhole checks that each entry of blkio_config has what it needs, once.
func (l *projectLoader) blockIsWhole(s types.ServiceConfig) {
	if s.BlkioConfig == nil {
		return
	}
	for _, list := range blockLists(s.BlkioConfig) {
		seen := map[string]bool{}
		for i, entry := range list.entries {
			path := fmt.Sprintf("services.%s.blkio_config.%s", s.Name, list.key)
			item := fmt.Sprintf("%s[%d]", path, i)
			if l.cutWithin(item+".path") || l.cutWithin(item+"."+list.value) {
				continue // its mistake is told
			}
			at := l.index.lastItem(path, func(text string) bool { return text == entry.Path })
			switch {
			case entry.Path == "":
				l.mistake(item, item+": there is no path", "name a device, such as /dev/sda")
			case entry.Rate <= 0:
				l.mistakeAt(at, path, fmt.Sprintf("%s: there is no %s for %s", path, list.value, entry.Path), "write a number above 0, or take the entry away")
			case seen[entry.Path]:
				l.mistakeAt(at, path, fmt.Sprintf("%s: %s stands there twice", path, entry.Path), "keep one of them")
			}
			seen[entry.Path] = true
		}
	}
}

// blockIO joins what the lists say of each device.
func blockIO(c *types.BlkioConfig) model.BlockIO {
	if c == nil {
		return model.BlockIO{}
	}
	devices := map[string]*model.BlockDevice{}
	for _, list := range blockLists(c) {
		for _, entry := range list.entries {
			d := devices[entry.Path]
			if d == nil {
				d = &model.BlockDevice{Path: entry.Path}
				devices[entry.Path] = d
			}
			*list.to(d) = int64(entry.Rate)
		}
	}
	out := model.BlockIO{Weight: int64(c.Weight)}
	for _, path := range slices.Sorted(maps.Keys(devices)) {
		out.Devices = append(out.Devices, *devices[path])
	}
	return out
}

// blockJSON is blkio_config with the keys of the file, which compose-go does not
// write.
func blockJSON(c *types.BlkioConfig) map[string]any {
	out := map[string]any{}
	if c.Weight != 0 {
		out["weight"] = c.Weight
	}
	for _, list := range blockLists(c) {
		var entries []map[string]any
		for _, entry := range list.entries {
			value := any(entry.Rate) // a text, as of all sizes
			if list.value == "weight" {
				value = int64(entry.Rate)
			}
			entries = append(entries, map[string]any{"path": entry.Path, list.value: value})
		}
		if entries != nil {
			out[list.key] = entries
		}
	}
	return out
}

// CheckBlockDevices holds blkio_config against the devices of this host; look
// returns what is wrong with one, and what would be right. `config` does not ask
// here, as another host may be meant.
func (r *Result) CheckBlockDevices(look func(path string) (wrong, right string)) error {
	var found problems
	for _, name := range r.Services() {
		for _, d := range r.Project.Services[name].Resources.BlockIO.Devices {
			if wrong, right := look(d.Path); wrong != "" {
				at, path := r.blockPosition(name, d)
				found.add(at, path, fmt.Sprintf("service %s limits a device: %s", name, wrong), right)
			}
		}
	}
	return found.err()
}

// blockPosition is where a device is named first.
func (r *Result) blockPosition(service string, d model.BlockDevice) (Position, string) {
	path := "services." + service + ".blkio_config"
	for _, list := range blockLists(&types.BlkioConfig{}) {
		if *list.to(&d) != 0 {
			path += "." + list.key
			break
		}
	}
	return r.Positions.item(path, func(text string) bool { return text == d.Path }), path
}
