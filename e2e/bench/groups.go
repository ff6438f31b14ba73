package main

// allGroups is the table, in the order of the design's.
func allGroups() []group {
	groups := []group{
		{measure: (*bench).start, rows: []*row{
			{key: "start", what: "start of one container inside the daemon", unit: millis, goal: "≤ 6 ms"},
		}},
		{measure: (*bench).oneOff, rows: []*row{
			{key: "run", what: "run --rm of true, whole command", unit: millis},
		}},
		{measure: (*bench).cold, rows: []*row{
			{key: "up-cold", what: "up -d, 1 service, daemon not yet running", unit: millis, goal: "≤ 35 + 40 ms"},
		}},
	}
	for _, n := range []count{{1, 9, "≤ 35 ms", "≤ 35 ms"}, {10, 6, "≤ 80 ms", "≤ 70 ms"}, {50, 3, "≤ 300 ms", "≤ 250 ms"}} {
		groups = append(groups, n.group())
	}
	return append(groups, []group{
		{measure: (*bench).many, rows: []*row{
			{key: "up-200", what: "up -d, 200 services", unit: millis, goal: "≤ 5 × 50 services"},
			{key: "down-200", what: "down, 200 services", unit: millis, goal: "≤ 5 × 50 services"},
		}},
		{measure: (*bench).again, rows: []*row{
			{key: "noop", what: "up -d again, 50 realistic services", unit: millis, goal: "≤ 25 ms"},
		}},
		{measure: (*bench).steady, rows: []*row{
			{key: "memory-idle", what: "private memory, nothing running", unit: mega, goal: "≤ 25 MB"},
			{key: "memory-50", what: "private memory with 50 idle containers", unit: mega, goal: "≤ 90 MB"},
			{key: "ps", what: "ps, 50 services", unit: millis, goal: "≤ 15 ms"},
			{key: "exec", what: "exec -T of true, 50 services", unit: millis, goal: "≤ 15 ms"},
			{key: "restart", what: "restart, 50 services", unit: millis, goal: "≤ 350 ms"},
		}},
		{measure: (*bench).commands, rows: []*row{
			{key: "version", what: "version", unit: millis, goal: "≤ 8 ms"},
			{key: "config", what: "config, 50 plain services", unit: millis, goal: "≤ 35 ms"},
		}},
		{measure: (*bench).health, rows: []*row{
			{key: "healthy", what: "first healthy after the app is ready, default interval", unit: millis, goal: "≤ 250 ms"},
		}},
		{measure: (*bench).logs, rows: []*row{
			{key: "seq", what: "two million lines of seq, until it has exited and all are stored", unit: millis, goal: "≤ 800 ms"},
			{key: "readback", what: "200,000 lines read back", unit: millis, goal: "≤ 200 ms"},
		}},
		{measure: (*bench).names, rows: []*row{
			{key: "dns-1", what: "DNS answers for a service name, 1 client", unit: rate, goal: "≥ 1.5 × the peer"},
			{key: "dns-1-p99", what: "the same, p99", unit: millis},
			{key: "dns-16", what: "DNS answers for a service name, 16 clients", unit: rate, goal: "≥ 1.5 × the peer"},
			{key: "dns-16-p99", what: "the same, p99", unit: millis, goal: "≤ 1 ms"},
		}},
		{measure: (*bench).ports, rows: []*row{
			{key: "port", what: "requests through a published port, 16 kept connections", unit: rate, goal: "≥ 0.97 of kernel DNAT"},
			{key: "port-p99", what: "the same, p99", unit: millis},
			{key: "port-new", what: "the same, a connection per request", unit: rate, goal: "≥ 0.97 of kernel DNAT"},
			{key: "direct", what: "requests from container to container, 16 kept connections", unit: rate},
			{key: "direct-p99", what: "the same, p99", unit: millis},
		}},
		{measure: (*bench).plug, rows: []*row{
			{key: "plug", what: "one container's network: namespace, link, address, route, resolver", unit: millis, goal: "≤ 1.5 ms"},
			{key: "plug-100", what: "the networks of 100 containers", unit: millis, goal: "≤ 250 ms"},
			{key: "gone-100", what: "the same, from their end until no link is left", unit: millis, goal: "≤ 150 ms"},
		}},
		{measure: (*bench).attach, rows: []*row{
			{key: "attach", what: "network connect, a running container", unit: millis},
			{key: "detach", what: "network disconnect", unit: millis},
		}},
		{measure: (*bench).watch, rows: []*row{
			{key: "save", what: "watch: save until visible in the container", unit: millis, goal: "≤ 2 ms"},
			{key: "save-p99", what: "the same, p99 of 600 saves", unit: millis, goal: "≤ 10 ms"},
			{key: "save-noise", what: "the same beside an ignored log written every 10 ms; given up after 10 s", unit: millis, goal: "≤ 2 ms"},
			{key: "branch", what: "watch: from the last of 1,000 changed files until the container has all", unit: millis, goal: "≤ 150 ms"},
			{key: "save-restart", what: "watch: save until the restarted process answers", unit: millis},
			{key: "restart-cost", what: "the restart alone, of a program that ends and begins at once", unit: millis, goal: "≤ 20 ms"},
			{key: "save-rebuild", what: "watch: save until the rebuilt service answers", unit: millis},
		}},
		{measure: (*bench).pull, rows: []*row{
			{key: "pull", what: "pull and unpack, 4 layers of Go's source", unit: millis},
		}},
		{measure: (*bench).build, rows: []*row{
			{key: "build", what: "build, nothing cached: COPY of 60 MB, three RUN", unit: millis},
			{key: "build-cached", what: "build, everything cached", unit: millis},
		}},
	}...)
}
