package network_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/mycompose/mycompose/e2e/kerneltest"
	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/dns"
)

// resolvers makes containers 10.128.1.2 … on one network, each with its name
// c2 … and a resolver of its own, all of one server.
func (w *world) resolvers(n int) []*kerneltest.NetNS {
	w.t.Helper()
	front := w.network(1, false)
	zone := dns.NewZone()
	server := dns.NewServer(local{zone}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	w.t.Cleanup(func() { cancel(); serving.Wait() })
	var out []*kerneltest.NetNS
	for i := range n {
		last := i + 2
		c := w.container(last, false, front)
		s, err := network.ListenDNS(c.File, network.Led)
		w.must(err)
		w.t.Cleanup(s.Close)
		id := fmt.Sprintf("c%d", last)
		zone.Put(id, dns.Container{Project: "p", Places: []dns.Member{{
			Network: front.Name, Addr: netip.AddrFrom4([4]byte{10, 128, 1, byte(last)}), Names: []string{id, "service"},
		}}})
		serving.Go(func() {
			if err := server.Serve(ctx, id, s); err != nil {
				w.t.Error(err)
			}
		})
		out = append(out, c)
	}
	return out
}

// asker is one client with a socket of its own.
type asker struct {
	conn net.Conn
	raw  []byte
	buf  [512]byte
}

func (w *world) asker(c *kerneltest.NetNS, name string) *asker {
	w.t.Helper()
	q := new(mdns.Msg)
	q.SetQuestion(name, mdns.TypeA)
	raw, err := q.Pack()
	w.must(err)
	a := &asker{raw: raw}
	w.must(c.Try(func() (err error) {
		a.conn, err = net.Dial("udp4", "127.0.0.11:53")
		return err
	}))
	w.t.Cleanup(func() { a.conn.Close() })
	return a
}

// ask returns how long the answer took.
func (a *asker) ask() (time.Duration, error) {
	began := time.Now()
	_ = a.conn.SetDeadline(began.Add(generous))
	if _, err := a.conn.Write(a.raw); err != nil {
		return 0, err
	}
	n, err := a.conn.Read(a.buf[:])
	if err != nil {
		return 0, err
	}
	const answers = 7 // the low byte of ANCOUNT
	if n < 12 || a.buf[3]&0xf != 0 || a.buf[answers] == 0 {
		return 0, errors.New("no address in the answer")
	}
	return time.Since(began), nil
}

func percentile(all []time.Duration, part float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(part*float64(len(all))))]
}

// stormTime is how long the storm lasts; MYCOMPOSE_STORM=10s is the long form.
func stormTime(t *testing.T) time.Duration {
	text := os.Getenv("MYCOMPOSE_STORM")
	if text == "" {
		return time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// One container asks 20,000 times per second, or as fast as this machine lets
// it, while another asks a hundred times: nobody's lookup fails.
func TestANameStormStarvesNobody(t *testing.T) {
	w := newWorld(t)
	c := w.resolvers(2)
	const rate, clients = 20000, 64
	began, lasts := time.Now(), stormTime(t)
	var asked, failed atomic.Int64
	var group sync.WaitGroup
	for range clients {
		a := w.asker(c[0], "service.")
		group.Go(func() {
			for time.Since(began) < lasts {
				due := time.Duration(asked.Add(1)) * time.Second / rate
				time.Sleep(due - time.Since(began))
				if _, err := a.ask(); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	quiet := w.asker(c[1], "c2.")
	var took []time.Duration
	for time.Since(began) < lasts {
		d, err := quiet.ask()
		if err != nil {
			t.Errorf("the quiet one: %v", err)
		}
		took = append(took, d)
		time.Sleep(10 * time.Millisecond)
	}
	group.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d lookups of the storm failed", n, asked.Load())
	}
	t.Logf("storm: %.0f lookups/s; the quiet one: p50 %s, p99 %s",
		float64(asked.Load())/time.Since(began).Seconds(), percentile(took, 0.5), percentile(took, 0.99))
}

// BenchmarkLookups is a service's name asked from one container through port 53
// by 1 and by 16 clients.
func BenchmarkLookups(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			w := newWorld(b)
			c := w.resolvers(1)[0]
			var askers []*asker
			for range clients {
				askers = append(askers, w.asker(c, "service."))
			}
			took := make([][]time.Duration, clients)
			b.ResetTimer()
			var group sync.WaitGroup
			for i, a := range askers {
				group.Go(func() {
					for range b.N / clients {
						d, err := a.ask()
						if err != nil {
							b.Error(err)
							return
						}
						took[i] = append(took[i], d)
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lookups/s")
			b.ReportMetric(percentile(slices.Concat(took...), 0.99).Seconds()*1e3, "p99-ms")
		})
	}
}
