package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

const networkKeys = `
services:
  plain:
    <<: *base
  host:
    <<: *base
    network_mode: host
  none:
    <<: *base
    network_mode: none
  joined:
    <<: *base
    network_mode: service:fixed
  fixed:
    <<: *base
    networks:
      front: {ipv4_address: SUBNET.9, aliases: [db, database.example]}
      back: {aliases: [hidden]}
    command: ["sh", "-c", "httpd -p 80 -h /etc; httpd -p 8001 -h /etc; httpd -p 8002 -h /etc; exec sleep 1000"]
    expose: [9000, "9100-9101/udp"]
    ports:
      - "%d-%d:8001-8002"
      - {target: 80, published: "%d", host_ip: 127.0.0.1, protocol: tcp, name: web, app_protocol: http, mode: host}
      - "127.0.0.1::80"
      - "%d:53/udp"
  udp:
    <<: *base
    networks: [front]
    command: ["/udpecho"]
    volumes: ["%s:/udpecho:ro"]
    ports: ["127.0.0.1:%d:53/udp"]
  inner:
    <<: *base
    networks: [back]
  resolver:
    <<: *base
    networks: [front]
    links: ["fixed:store"]
    external_links: ["net-fixed-1:legacy"]
    dns: [192.0.2.53]
    dns_search: [example.test, corp.test]
    dns_opt: [ndots:3, timeout:7]
    extra_hosts: ["gw=host-gateway", "one:10.1.2.3", "six=::1"]
networks:
  front: {ipam: {config: [{subnet: SUBNET.0/24, gateway: SUBNET.100}]}, labels: {a: b}, driver: bridge}
  back: {internal: true, name: any-net}
`

// Networks, names and published ports, seen from inside and from the host.
func TestKeysOfNetworksHaveTheirEffect(t *testing.T) {
	h := newHost(t)
	h.busybox()
	echo := filepath.Join(tempDir(t), "udpecho")
	if err := kerneltest.Build(echo, "e2e/testdata/udpecho", ""); err != nil {
		t.Fatal(err)
	}
	first := kerneltest.FreePorts(t, 2)
	one, two, three := freePort(t), freePort(t), freePort(t)
	subnet := strings.NewReplacer("SUBNET", h.subnet())
	dir := h.keys("net", subnet.Replace(fmt.Sprintf(networkKeys, first, first+1, one, two, echo, three)), nil)
	const links = "ls /sys/class/net | tr '\\n' ' '"
	looks := []look{
		{"network_mode: none", "none", links, "lo"},
		{"network_mode: host", "host", "test $(ls /sys/class/net | grep -c '^mc') -ge 2 && echo sees", "sees"},
		{"network_mode: service", "joined", "wget -qO- http://127.0.0.1/hostname | wc -c; ip -4 -o addr | grep -c SUBNET.9; nslookup db. | grep -c SUBNET.9", "13 1 1"},
		{"ipv4_address", "fixed", "ip -4 -o addr | grep -o 'SUBNET.9/24'; ip route | grep default | awk '{print $3}'", "SUBNET.9/24 SUBNET.100"},
		{"default network", "plain", links + "; nslookup fixed. >/dev/null 2>&1 || echo apart; nslookup plain. >/dev/null && echo self", "eth0 lo apart self"},
		{"aliases", "resolver", "for n in fixed db database.example net-fixed-1; do nslookup $n. | grep -c SUBNET.9; done; nslookup hidden. >/dev/null 2>&1 || echo unknown", "1 1 1 1 unknown"},
		{"aliases of the other network", "inner", "nslookup hidden. >/dev/null && nslookup fixed. >/dev/null && echo known; nslookup db. >/dev/null 2>&1 || echo unknown", "known unknown"},
		{"links", "resolver", "nslookup store. | grep -c SUBNET.9", "1"},
		{"external_links", "resolver", "nslookup legacy. | grep -c SUBNET.9", "1"},
		{"links of another", "udp", "nslookup store. >/dev/null 2>&1 || echo unknown", "unknown"},
		{"internal", "inner", "ip route | grep -c default; wget -qO- http://fixed/hostname | wc -c", "0 13"},
		{"isolation", "plain", "wget -T 1 -qO- http://SUBNET.9/hostname 2>/dev/null || echo closed", "closed"},
		{"extra_hosts", "resolver", "grep -E '^[^#]*(gw|one|six)$' /etc/hosts | sort", "10.1.2.3 one SUBNET.100 gw ::1 six"},
		{"dns, dns_search, dns_opt", "resolver", "grep -v '^#' /etc/resolv.conf", "nameserver 127.0.0.11 search example.test corp.test options ndots:3 timeout:7"},
	}
	for i, l := range looks {
		looks[i].script, looks[i].want = subnet.Replace(l.script), subnet.Replace(l.want)
	}
	h.looks(dir, looks)
	for _, port := range []int{first, first + 1, one} {
		if got := h.get(fmt.Sprintf("http://127.0.0.1:%d/hostname", port)); len(got) != 13 {
			t.Errorf("port %d answers %q", port, got)
		}
	}
	h.eventually(func() error { return asksUDP(three) })
	for _, r := range []outcome{h.run(dir, "ps"), h.run(dir, "up", "-d")} {
		if err := want(r.stderr, "Other machines can reach fixed "); err != nil || r.code != 0 {
			t.Errorf("code %d, %v", r.code, err)
		}
	}
	row := h.must(dir, "ps", "-a", "--format", "json", "fixed")
	for _, text := range []string{`"TargetPort":9000`, `"TargetPort":9101`, fmt.Sprintf(`"PublishedPort":%d`, first+1), `"URL":"127.0.0.1"`} {
		if err := want(row, text); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(row, `"TargetPort":80,`); n != 2 {
		t.Errorf("port 80 is published %d times, want a fixed and a random one: %s", n, row)
	}
}

// subnet is the first three bytes of a range for this host alone: another run
// of the tests may go on beside this one, on the same machine.
func (h *host) subnet() string {
	var tag [4]byte
	if _, err := hex.Decode(tag[:], []byte(h.tag)); err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("10.%d.%d", 64+tag[0]%32, tag[1])
}

// asksUDP says a line to a port of this machine and reads the answer.
func asksUDP(port int) error {
	c, err := net.DialTimeout("udp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		return err
	}
	answer := make([]byte, 100)
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	n, err := c.Read(answer)
	if err != nil {
		return err
	}
	return want(string(answer[:n]), "re hello")
}

// dns names the upstream of the resolver in the container: here a server on
// the host's side of the bridge.
func TestDNSNamesTheUpstream(t *testing.T) {
	h := newHost(t)
	h.busybox()
	subnet := h.subnet()
	dir := h.keys("up", strings.ReplaceAll(`
services:
  client:
    <<: *base
    networks: [n]
    dns: SUBNET.1
networks: {n: {ipam: {config: [{subnet: SUBNET.0/24, gateway: SUBNET.1}]}}}
`, "SUBNET", subnet), nil)
	server, err := net.ListenPacket("udp", subnet+".1:53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerAll(server)
	}()
	defer func() { server.Close(); <-done }()
	h.eventually(func() error {
		return want(h.run(dir, "exec", "-T", "client", "nslookup", "-type=a", "far.test.").stdout, "192.0.2.77")
	})
}

// answerAll answers each question with the address 192.0.2.77.
func answerAll(server net.PacketConn) {
	for {
		m := make([]byte, 512)
		n, from, err := server.ReadFrom(m)
		if err != nil {
			return
		}
		end := 12
		for end < n && m[end] != 0 {
			end += int(m[end]) + 1
		}
		if end += 5; end > n {
			continue
		}
		m = m[:end] // without additional records
		m[2], m[3] = 0x84, 0
		copy(m[4:12], []byte{0, 1, 0, 1, 0, 0, 0, 0})
		m = append(m, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 77)
		server.WriteTo(m, from)
	}
}
