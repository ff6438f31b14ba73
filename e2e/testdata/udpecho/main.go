// Command udpecho answers each datagram to port 53 with "re " and its text:
// busybox has nothing that listens on UDP.
package main

import (
	"net"
	"os"
)

func main() {
	c, err := net.ListenPacket("udp", ":53")
	if err != nil {
		os.Exit(1)
	}
	for b := make([]byte, 1500); ; {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			os.Exit(2)
		}
		if _, err := c.WriteTo(append([]byte("re "), b[:n]...), from); err != nil {
			os.Exit(3)
		}
	}
}
