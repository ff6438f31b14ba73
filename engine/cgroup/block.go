package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// DeviceNumber is "MAJOR:MINOR" of a whole block device, by which the io
// controller knows it.
func DeviceNumber(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", spec.Errorf(spec.ErrNotFound, "there is no device %s", path)
	}
	if err != nil {
		return "", spec.Errorf(spec.ErrInvalid, "cannot look at device %s: %v", path, unwrapped(err))
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&os.ModeDevice == 0 || info.Mode()&os.ModeCharDevice != 0 {
		return "", spec.Errorf(spec.ErrInvalid, "%s is no block device", path)
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	if _, err := os.Stat("/sys/dev/block/" + number + "/partition"); err == nil {
		return "", spec.Errorf(spec.ErrInvalid, "%s is a partition, and only whole devices can be limited", path)
	}
	return number, nil
}

// numbered is a device whose number is known.
type numbered struct {
	spec.BlockDevice
	number string
}

// blockDevices finds the numbers of all devices.
func blockDevices(b spec.BlockIO) ([]numbered, error) {
	var out []numbered
	for _, d := range b.Devices {
		number, err := DeviceNumber(d.Path)
		if err != nil {
			return nil, fmt.Errorf("cannot limit block devices: %w", err)
		}
		out = append(out, numbered{d, number})
	}
	return out, nil
}

const (
	noWeights = "this kernel weighs no devices: it has neither the scheduler bfq (modprobe bfq) nor io.weight; take the weight away"
	noRates   = "this kernel was built without it (CONFIG_BLK_DEV_THROTTLING)"
)

// blockValues is pure: which file gets which text. A weight is for the scheduler
// bfq where the kernel has that, else for whatever weighs there: blk-iocost on v2,
// cfq before Linux 5.0 on v1.
func blockValues(weight int64, devices []numbered, v2 bool) (out []value) {
	weigh := func(key, prefix, v1File string, n int64) {
		own, v := strconv.FormatInt(n, 10), value{key: key, controller: "blkio", missing: noWeights}
		v.file, v.text = "blkio.bfq."+v1File, prefix+own
		other := v
		other.file = "blkio." + v1File
		if v2 {
			v.controller, other.controller, v.v2, other.v2 = "io", "io", true, true
			v.file, other.file, other.text = "io.bfq.weight", "io.weight", prefix+strconv.FormatInt(ioWeight(n), 10)
		}
		v.other = &other
		out = append(out, v)
	}
	if weight > 0 {
		weigh("blkio weight", "", "weight", weight)
	}
	for _, d := range devices {
		if d.Weight > 0 {
			weigh("blkio weight of "+d.Path, d.number+" ", "weight_device", d.Weight)
		}
	}
	for _, d := range devices {
		var limits []string
		for _, l := range []struct {
			key, v1, v2 string
			rate        int64
		}{
			{"read bytes per second", "read_bps", "rbps", d.ReadBPS}, {"written bytes per second", "write_bps", "wbps", d.WriteBPS},
			{"reads per second", "read_iops", "riops", d.ReadIOPS}, {"writes per second", "write_iops", "wiops", d.WriteIOPS},
		} {
			if l.rate == 0 {
				continue
			}
			rate := strconv.FormatInt(l.rate, 10)
			limits = append(limits, l.v2+"="+rate)
			if !v2 {
				out = append(out, value{key: l.key + " of " + d.Path, controller: "blkio", missing: noRates,
					file: "blkio.throttle." + l.v1 + "_device", text: d.number + " " + rate})
			}
		}
		if v2 && len(limits) > 0 {
			out = append(out, value{key: "rates of " + d.Path, controller: "io", v2: true,
				file: "io.max", text: d.number + " " + strings.Join(limits, " ")})
		}
	}
	return out
}

// ioWeight turns a weight of blkio (10..1000) into one of io.weight (1..10000), as
// runc does.
func ioWeight(blkio int64) int64 { return 1 + (blkio-10)*9999/990 }
