package network

import (
	"fmt"
	"os"
	"strconv"
)

// OfProcesses opens the network namespace that one of these processes of a
// container is in. Those in the caller's own namespace are passed over: a
// process that is being started, an exec's or a probe's too, is still in the
// host's, and its number may be the lowest. It fails with os.ErrNotExist if no
// other is left.
func OfProcesses(pids []int) (*os.File, error) {
	for _, pid := range pids {
		ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net")
		if err != nil {
			continue // it has ended
		}
		if own, err := isOwn(ns); err == nil && !own {
			return ns, nil
		}
		ns.Close()
	}
	return nil, fmt.Errorf("no process of %v is in a network of its own: %w", pids, os.ErrNotExist)
}
