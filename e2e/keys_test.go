package e2e

import (
	"strings"
	"testing"
)

// keyHead begins the compose files of the tests of keys: each service sleeps
// unless it says otherwise.
const keyHead = `
x-base: &base
  image: busybox
  command: ["sleep", "1000"]
  init: true
  stop_grace_period: 0s
`

// look is a look at the real state inside a service's container.
type look struct {
	// key is what the compose file says; service is where; script is a shell
	// script run there by exec; want is all of its stdout, without white space
	// around it and with one space between words.
	key, service, script, want string
}

// firstChild sets $p to the program behind the init of init: true.
const firstChild = "p=2; "

// looks runs them in one project that is up.
func (h *host) looks(dir string, all []look) {
	h.t.Helper()
	for _, l := range all {
		r := h.run(dir, "exec", "-T", l.service, "/bin/sh", "-c", firstChild+l.script)
		if got := words(r.stdout); got != l.want {
			h.t.Errorf("%s: service %s has %q, want %q (exit code %d, stderr %q)", l.key, l.service, got, l.want, r.code, r.stderr)
		}
	}
}

// words is a text with one space between words.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// lines are the words that a service has written.
func (h *host) lines(dir, service string) string {
	h.t.Helper()
	return words(h.must(dir, "logs", "--no-color", "--no-log-prefix", service))
}

// keys brings a project up whose services stand below keyHead.
func (h *host) keys(name, services string, files map[string]string, args ...string) string {
	h.t.Helper()
	all := map[string]string{"compose.yaml": keyHead + services}
	for path, content := range files {
		all[path] = content
	}
	dir := h.project(name, all)
	h.must(dir, append([]string{"up", "-d"}, args...)...)
	return dir
}

// A key that is known and not built yet is refused with its place; nothing is
// accepted and ignored.
func TestKeysNotBuiltAreRefusedWithTheirPlace(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct{ yaml, want string }{
		{"    gpus: all", "compose.yaml:4:5: not supported yet: services.a.gpus"},
		{"    ipc: none", "compose.yaml:4:10: not supported yet: services.a.ipc none"},
		{"    networks: {default: {driver_opts: {a: b}}}", "not supported yet: services.a.networks.default.driver_opts"},
		{"    platform: linux/s390x", "compose.yaml:4:15: not supported yet: services.a.platform linux/s390x; this machine is linux/"},
		{"    logging: {driver: syslog}", "not supported yet: services.a.logging.driver"},
		{"    security_opt: [seccomp=./p.json]", "not supported yet: services.a.security_opt"},
		{"    pre_start: [{image: busybox, command: true}]", "compose.yaml:4:5: not supported yet: services.a.pre_start"},
		{"    memswap_limit: 32m", "compose.yaml:4:5: services.a.memswap_limit stands without mem_limit"},
		{"volumes: {data: {driver_opts: {type: nfs, size: 1g}}}", "compose.yaml:4:43: not supported yet: volumes.data.driver_opts.size"},
		{"    sysctls: {net.core.somaxconn: many}", "compose.yaml:4:15: sysctl net.core.somaxconn of service a is \"many\", and must be a number"},
		{"    sysctls: [net.core.nosuch=1]", "compose.yaml:4:15: service a sets sysctl net.core.nosuch, which this kernel does not have"},
		{"    networks: [ext]\nnetworks: {ext: {external: true}}", "compose.yaml:5:12: network ext declared as external, but could not be found"},
		{"    volumes: [ext:/x]\nvolumes: {ext: {external: true}}", "compose.yaml:5:11: external volume \"ext\" not found"},
	} {
		dir := h.project("refused", map[string]string{"compose.yaml": "services:\n  a:\n    image: busybox\n" + c.yaml + "\n"})
		r := h.run(dir, "up", "-d")
		if r.code == 0 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit code %d, want %q in:\n%s", c.yaml, r.code, c.want, r.stderr)
		}
	}
}
