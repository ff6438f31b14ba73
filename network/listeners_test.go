package network_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
)

func TestListenersAreThoseOfTheNamespaceWithWhatTheyHaveNotAccepted(t *testing.T) {
	kerneltest.NeedRoot(t)
	ns, err := network.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	none, err := network.Listeners(ns)
	if err != nil || len(none) > 0 {
		t.Fatalf("an empty namespace has %+v, %v", none, err)
	}
	ports := map[uint16]int{} // and how many wait there
	err = network.Do(ns, func() error {
		for i, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return err
			}
			t.Cleanup(func() { listener.Close() })
			ports[uint16(listener.Addr().(*net.TCPAddr).Port)] = i
			for range i {
				conn, err := net.DialTimeout("tcp", listener.Addr().String(), 10*time.Second)
				if err != nil {
					return err
				}
				t.Cleanup(func() { conn.Close() })
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.Eventually(t, time.Minute, func() error {
		found, err := network.Listeners(ns)
		wrong := len(found) != len(ports)
		for _, l := range found {
			queued, ok := ports[l.Port]
			wrong = wrong || !ok || queued != l.Queued
		}
		if wrong {
			return errors.Join(err, fmt.Errorf("found %+v, want %v", found, ports))
		}
		return err
	})
}
