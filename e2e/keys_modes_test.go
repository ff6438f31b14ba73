package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

const modeKeys = `
services:
  six:
    <<: *base
    command: ["sh", "-c", "httpd -p 80 -h /etc; exec sleep 1000"]
    networks:
      dual: {ipv6_address: "FIXED6::66", mac_address: "02:42:00:00:66:01", interface_name: lan0, priority: 5}
      plain: {gw_priority: 9, link_local_ips: [169.254.6.6]}
    ports: ["%d:80"]
    mac_address: "02:42:00:00:66:02"
    hostname: sixer
    domainname: hive.test
    extra_hosts: {printer: 10.1.2.3}
  asker:
    <<: *base
    networks: [dual]
    x-host-loopback: true
  quiet:
    <<: *base
    networks: {dual: {use_service_name_alias: false}}
  shared:
    <<: *base
    network_mode: bridge
  guest:
    <<: *base
    network_mode: container:modes-six-1
    depends_on: [six]
networks:
  dual:
    enable_ipv6: true
    attachable: true
    driver_opts: {com.docker.network.driver.mtu: 1400, com.docker.network.bridge.name: BRIDGE}
    ipam:
      config:
        - {subnet: SUBNET.0/24, ip_range: SUBNET.128/25, aux_addresses: {printer: SUBNET.129}}
        - {subnet: "FIXED6::/64"}
  plain: {}
`

// TestKeysOfModesHaveTheirEffect: the network modes and what a service and a
// network may say about addresses and links, by the commands of a person.
func TestKeysOfModesHaveTheirEffect(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		kerneltest.NeedFeature(t, "IPv6", false)
	}
	h := newHost(t)
	h.busybox()
	port := freePort(t)
	bridge := "k" + h.tag
	// No part begins with a zero: as a command prints it, it is what stands here.
	six := "fd6b:1" + h.tag[:3] + ":1" + h.tag[3:6]
	fill := strings.NewReplacer("SUBNET", h.subnet(), "FIXED6", six, "BRIDGE", bridge)
	dir := h.keys("modes", fill.Replace(fmt.Sprintf(modeKeys, port)), nil)
	looks := []look{
		{"enable_ipv6", "asker", "nslookup -type=aaaa six. | grep -c FIXED6::66; wget -qO- http://[FIXED6::66]/hostname | wc -c", "1 6"},
		{"ip_range, aux_addresses", "six", "ip -4 -o addr show lan0 | grep -cE 'SUBNET.(12[8]|1[3-9][0-9]|2[0-5][0-9])/24'", "1"},
		{"mac_address, interface_name, mtu", "six", "cat /sys/class/net/lan0/address /sys/class/net/lan0/mtu; ls /sys/class/net | tr '\n' ' '", "02:42:00:00:66:01 1400 eth0 lan0 lo"},
		{"gw_priority, link_local_ips", "six", "ip route | grep '^default' | grep -c 'dev eth0'; ip -o addr show eth0 | grep -c 169.254.6.6/16", "1 1"},
		{"use_service_name_alias", "asker", "nslookup quiet. >/dev/null 2>&1 || echo unknown; nslookup modes-quiet-1. >/dev/null && echo known", "unknown known"},
		{"network_mode: bridge", "shared", "nslookup six. >/dev/null 2>&1 || echo apart; ls /sys/class/net | tr '\n' ' '", "apart eth0 lo"},
		{"network_mode: container", "guest", "wget -qO- http://127.0.0.1/hostname; hostname; echo $HOSTNAME; cat /etc/hostname; grep -c -e 'sixer.hive.test sixer' -e printer /etc/hosts", "sixer sixer sixer sixer 4"},
		{"host.docker.internal", "asker", "grep -c host.docker.internal /etc/hosts; grep -c host.mycompose.internal /etc/hosts", "1 1"},
	}
	for i, l := range looks {
		looks[i].script, looks[i].want = fill.Replace(l.script), fill.Replace(l.want)
	}
	h.looks(dir, looks)
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		if got := h.get(fmt.Sprintf("http://%s:%d/hostname", host, port)); got != "sixer\n" {
			t.Errorf("%s answers %q", host, got)
		}
	}

	// A second up has nothing to do: what the engine chose is no difference.
	before := h.must(dir, "ps", "-q")
	h.must(dir, "up", "-d")
	if after := h.must(dir, "ps", "-q"); after != before {
		t.Errorf("up made containers anew:\n%s\n%s", before, after)
	}

	var details []struct {
		Name, Driver, Link string
		EnableIPv6         bool
		Containers         map[string]struct{ Name, IPv4Address, IPv6Address string }
		Names              map[string][]string
		Rules              []string
	}
	if err := json.Unmarshal([]byte(h.must(dir, "network", "inspect", "modes_dual")), &details); err != nil {
		t.Fatal(err)
	}
	if d := details[0]; d.Link != bridge || !d.EnableIPv6 || len(d.Containers) != 3 || len(d.Names["six"]) != 2 || len(d.Rules) == 0 {
		t.Errorf("inspect shows %+v", d)
	}

	// Networks of a person's own, and a container that moves.
	h.must(dir, "network", "create", "--ipv6", "--label", "mine", "own")
	h.must(dir, "network", "connect", "--alias", "moved", "own", "modes-asker-1")
	h.must(dir, "network", "connect", "own", "modes-quiet-1")
	h.looks(dir, []look{{"network connect", "quiet", "nslookup moved. >/dev/null && echo known", "known"}})
	if got := h.must(dir, "network", "ls", "--filter", "label=mine", "--format", "{{.Name}} {{.IPv6}}"); got != "own true\n" {
		t.Errorf("ls: %q", got)
	}
	if r := h.run(dir, "network", "rm", "own"); r.code == 0 {
		t.Error("a network in use was removed")
	}
	h.must(dir, "network", "disconnect", "own", "modes-asker-1")
	h.must(dir, "down")
	if got := h.must(dir, "network", "prune", "--force"); !strings.Contains(got, "own") || strings.Contains(got, "bridge") {
		t.Errorf("prune: %q", got)
	}
}
