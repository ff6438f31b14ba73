package monitor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// shutdownGrace is how long a container may take to end when the machine goes
// down: as long as by a stop.
const shutdownGrace = 10 * time.Second

// machineEnds reports whether a SIGTERM is systemd's, which sends it to every
// process once all units have ended, and waits for a minute and a half for those
// that do not heed it: pid 1 is systemd-shutdown(8) then.
func machineEnds() bool {
	comm, err := os.ReadFile("/proc/1/comm")
	return err == nil && string(comm) == "systemd-shutdow\n"
}

// shutDown leaves once the container has ended, and ends it after a while. Its
// processes have got the signal themselves.
func (m *Monitor) shutDown(grace time.Duration) {
	over := time.After(grace)
	for {
		m.mu.Lock()
		run, changed := m.run, m.changed
		if !run.alive() {
			if !m.quitting {
				m.quitting = true
				close(m.quit)
			}
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		select {
		case <-changed:
		case <-over:
			if err := run.signal(int(unix.SIGKILL)); err != nil {
				m.Logf("cannot kill at shutdown: %v", err)
			}
		}
	}
}
