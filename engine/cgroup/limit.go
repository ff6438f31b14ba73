package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/spec"
)

// value is one line to be written into one file of a group.
type value struct {
	key        string // the attribute in a user's words: "memory limit"
	controller string
	v2         bool
	file, text string
	// optional: the file may be missing (swap accounting is off).
	optional bool
	// missing says what it means that the file is not there.
	missing string
	// other is written instead where this one cannot be.
	other *value
}

// defaultPeriod is the CPU period in microseconds.
const defaultPeriod = 100_000

// values turns limits into what to write on this host, in order.
func (h *Host) values(r spec.Resources) ([]value, error) {
	out := values(r, h.isV2)
	devices, err := blockDevices(r.BlockIO)
	if err != nil {
		return nil, err
	}
	_, v1 := h.with("blkio")
	_, unified := h.unified()
	out = append(out, blockValues(r.BlockIO.Weight, devices, !v1 && unified)...)
	for _, v := range out {
		if _, ok := h.with(v.controller); !ok {
			return nil, spec.Errorf(spec.ErrUnavailable, "cannot set %s: this machine has no cgroup controller %s", v.key, v.controller)
		}
	}
	return out, nil
}

func (h *Host) isV2(controller string) bool {
	one, ok := h.with(controller)
	return ok && one.v2
}

// values is pure: which file gets which text, for controllers of v1 or v2.
func values(r spec.Resources, isV2 func(controller string) bool) (out []value) {
	add := func(key, controller, v1File, v1Text, v2File, v2Text string, optional bool) {
		v := value{key: key, controller: controller, v2: isV2(controller), file: v1File, text: v1Text, optional: optional}
		if v.v2 {
			v.file, v.text = v2File, v2Text
		}
		if v.file != "" {
			out = append(out, v)
		}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	if r.Memory > 0 {
		add("memory limit", "memory", "memory.limit_in_bytes", number(r.Memory), "memory.max", number(r.Memory), false)
		v1, v2 := swap(r)
		add("memory and swap limit", "memory", "memory.memsw.limit_in_bytes", v1, "memory.swap.max", v2, true)
	}
	if r.MemoryReservation > 0 {
		n := number(r.MemoryReservation)
		add("memory reservation", "memory", "memory.soft_limit_in_bytes", n, "memory.low", n, false)
	}
	if r.CPUShares > 0 {
		add("cpu shares", "cpu", "cpu.shares", number(r.CPUShares), "cpu.weight", number(weight(r.CPUShares)), false)
	}
	if quota, period := bandwidth(r); period > 0 {
		limit := "max"
		if quota > 0 {
			limit = number(quota)
		}
		add("cpu period", "cpu", "cpu.cfs_period_us", number(period), "", "", false)
		if quota > 0 {
			add("cpu limit", "cpu", "cpu.cfs_quota_us", number(quota), "", "", false)
		}
		add("cpu limit", "cpu", "", "", "cpu.max", limit+" "+number(period), false)
	}
	if r.Cpuset != "" {
		add("cpuset", "cpuset", "cpuset.cpus", r.Cpuset, "cpuset.cpus", r.Cpuset, false)
	}
	if r.Pids != 0 {
		limit := "max"
		if r.Pids > 0 {
			limit = number(r.Pids)
		}
		add("pids limit", "pids", "pids.max", limit, "pids.max", limit, false)
	}
	return out
}

// swap returns the limits of memory and swap together (v1) and of swap alone
// (v2). Unset means as much swap as memory, as with docker.
func swap(r spec.Resources) (v1, v2 string) {
	switch total := r.MemorySwap; {
	case total < 0:
		return "-1", "max"
	case total == 0 && r.Memory > math.MaxInt64/2:
		return "-1", "max"
	case total == 0:
		return strconv.FormatInt(2*r.Memory, 10), strconv.FormatInt(r.Memory, 10)
	default:
		return strconv.FormatInt(total, 10), strconv.FormatInt(max(total-r.Memory, 0), 10)
	}
}

// bandwidth returns quota and period in microseconds; period 0 means no limit
// was asked for, quota 0 or less none.
func bandwidth(r spec.Resources) (quota, period int64) {
	period = r.CPUPeriod
	if r.CPUs > 0 {
		if period == 0 {
			period = defaultPeriod
		}
		return int64(math.Round(r.CPUs * float64(period))), period
	}
	if r.CPUQuota > 0 && period == 0 {
		period = defaultPeriod
	}
	return r.CPUQuota, period
}

// weight turns v1 shares (2..262144, default 1024) into a v2 weight (1..10000,
// default 100) such that the ends and the defaults meet.
func weight(shares int64) int64 {
	l := math.Log2(float64(min(max(shares, 2), 262144)))
	exponent := (l*l+125*l)/612 - 7.0/34
	return min(int64(math.Ceil(math.Pow(10, exponent))), 10000)
}

func (v value) write(g *Group) error {
	h, _ := g.host.with(v.controller)
	file := path.Join(g.dir(h), v.file)
	err := write(file, v.text)
	if v.other != nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EOPNOTSUPP)) {
		if instead := v.other.write(g); instead == nil || errors.Is(err, fs.ErrNotExist) {
			return instead
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && v.optional:
		return nil
	case errors.Is(err, fs.ErrNotExist) && v.missing != "":
		return spec.Errorf(spec.ErrUnavailable, "cannot set %s: %s", v.key, v.missing)
	case errors.Is(err, unix.EOPNOTSUPP):
		return spec.Errorf(spec.ErrUnavailable, "cannot set %s: its scheduler does not weigh; write bfq into queue/scheduler of the device below /sys/block, or take the weight away", v.key)
	case errors.Is(err, unix.ENODEV):
		return spec.Errorf(spec.ErrInvalid, "cannot set %s: the kernel has no such device, or it is a part of one", v.key)
	case errors.Is(err, fs.ErrNotExist) && v.v2:
		return spec.Errorf(spec.ErrUnavailable, "cannot set %s: the cgroup controller %s is not handed on to us", v.key, v.controller)
	case errors.Is(err, unix.EINVAL) && v.controller == "memory" && strings.Contains(v.file, "limit"):
		// v1 keeps memory <= memory+swap at each write: raising a limit that
		// exists needs the other order.
		return v.writeSwapFirst(g, h)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE), errors.Is(err, unix.EACCES):
		return spec.Errorf(spec.ErrInvalid, "cannot set %s to %s: %v", v.key, v.text, unwrapped(err))
	}
	return fmt.Errorf("cannot set %s to %s: %w", v.key, v.text, err)
}

func (v value) writeSwapFirst(g *Group, h hierarchy) error {
	dir := g.dir(h)
	if v.file == "memory.limit_in_bytes" {
		if write(path.Join(dir, "memory.memsw.limit_in_bytes"), "-1") == nil {
			if write(path.Join(dir, v.file), v.text) == nil {
				return nil
			}
		}
	}
	return spec.Errorf(spec.ErrInvalid, "cannot set %s to %s: it does not go with the other memory limits", v.key, v.text)
}

// unwrapped leaves the path out: the cause alone is the user's concern.
func unwrapped(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
