package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePorts returns the first of n ports in a row that nobody holds on this
// machine, for TCP and UDP. They lie below the range from which the kernel takes the
// ports of outgoing connections (ip_local_port_range), so none of those takes
// one before the test does.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	const low, high = 10000, 32768
	for range 1000 {
		first := low + rand.IntN(high-low-n)
		if free(first, n) {
			return first
		}
	}
	t.Fatal("there are no free ports")
	return 0
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return false
		}
		l.Close()
		p, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		if err != nil {
			return false
		}
		p.Close()
	}
	return true
}
