package firewall

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// tool finds a program of iptables: the one that speaks to the kernel's old
// interface, since this is for kernels without the new one.
func tool(what string) (string, error) {
	for _, name := range []string{"iptables-legacy" + what, "iptables" + what} {
		if path, err := lookProgram(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("iptables%s is not installed, and %w", what, ErrUnsupported)
}

// lookProgram finds a program of the host's administrator. The daemon's
// environment has no PATH.
func lookProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"} {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return exec.LookPath(name)
}

// restore writes whole chains in one go per table.
func restore(ns *os.File, text string) error {
	path, err := tool("-restore")
	if err != nil {
		return err
	}
	_, err = execute(ns, text, path, "--noflush", "-w")
	return err
}

// iptables runs the command line of one rule.
func iptables(ns *os.File, args ...string) error {
	path, err := tool("")
	if err != nil {
		return err
	}
	_, err = execute(ns, "", append([]string{path, "-w"}, args...)...)
	return err
}

// hook puts the jumps at the head of their chains, each once.
func hook(ns *os.File, jumps []jump) error {
	for _, j := range jumps {
		rule := append(append([]string{j.from}, j.match...), "-j", j.to)
		if iptables(ns, append([]string{"-t", j.table, "-C"}, rule...)...) == nil {
			continue
		}
		if err := iptables(ns, append([]string{"-t", j.table, "-I"}, rule...)...); err != nil {
			return err
		}
	}
	return nil
}

// unhook takes the jumps and the chains that they lead to away.
func unhook(ns *os.File, jumps []jump) error {
	for _, j := range jumps {
		rule := append(append([]string{j.from}, j.match...), "-j", j.to)
		for iptables(ns, append([]string{"-t", j.table, "-C"}, rule...)...) == nil {
			if err := iptables(ns, append([]string{"-t", j.table, "-D"}, rule...)...); err != nil {
				return err
			}
		}
	}
	for _, j := range jumps {
		if iptables(ns, "-t", j.table, "-F", j.to) != nil {
			continue // it is not there
		}
		if err := iptables(ns, "-t", j.table, "-X", j.to); err != nil && iptables(ns, "-t", j.table, "-L", j.to, "-n") == nil {
			return err
		}
	}
	return nil
}

// execute runs a program in a network namespace, nil for the calling thread's.
// A child is born in the namespace of the thread that makes it.
func execute(ns *os.File, stdin string, argv ...string) (string, error) {
	run := func() (string, error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
		}
		return string(out), err
	}
	return inside(ns, run)
}

// inside calls run on a thread that is in a network namespace, nil for the
// caller's.
func inside(ns *os.File, run func() (string, error)) (string, error) {
	if ns == nil {
		return run()
	}
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the namespace is not entered")}
		defer func() { done <- r }()
		runtime.LockOSThread() // the thread ends with its goroutine
		if r.err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); r.err == nil {
			r.out, r.err = run()
		}
	}()
	r := <-done
	return r.out, r.err
}
