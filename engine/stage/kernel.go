package stage

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/folder"
)

func (s *stage) setHostname() error {
	if s.Hostname == "" || !s.Namespaces.UTS {
		return nil
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return failed("hostname", "cannot set hostname %s: %v", s.Hostname, err)
	}
	return nil
}

// setSysctls writes kernel parameters through the container's /proc, which
// shows this process's namespaces, before it becomes read-only.
func (s *stage) setSysctls() error {
	for _, name := range s.sysctlNames() {
		if err := s.setSysctl(name, s.Sysctls[name]); err != nil {
			return failed("sysctl", "cannot set sysctl %s to %q: %v", name, s.Sysctls[name], err)
		}
	}
	return nil
}

// sysctlNames are always in the same order, so that the same one fails first.
func (s *stage) sysctlNames() []string {
	names := make([]string, 0, len(s.Sysctls))
	for name := range s.Sysctls {
		names = append(names, name)
	}
	folder.SortNames(names)
	return names
}

func (s *stage) setSysctl(name, value string) error {
	fd, err := openPlain(s.root, "/proc/sys/"+sysctlPath(name), unix.O_WRONLY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return errors.New("it is not on procfs")
	}
	_, err = unix.Write(fd, []byte(value))
	return err
}

// sysctlPath turns sysctl(8)'s name with dots into a path; a name whose first
// separator is a slash is one, and its dots are part of names (eth0.100).
func sysctlPath(name string) string {
	i := strings.IndexAny(name, "./")
	if i < 0 || name[i] == '/' {
		return name
	}
	swapped := []byte(name)
	for i, c := range swapped {
		switch c {
		case '.':
			swapped[i] = '/'
		case '/':
			swapped[i] = '.'
		}
	}
	return string(swapped)
}

// setRlimits sets limits as prlimit(2) does; they count for the process
// executed.
func (s *stage) setRlimits() error {
	for _, r := range s.Process.Rlimits {
		resource, ok := rlimitNumber(r.Type)
		if !ok {
			return failed("rlimit", "cannot set ulimit %s: there is none of that name", r.Type)
		}
		// syscall's, not a raw one: the Go runtime would otherwise put back
		// its own idea of nofile at execve.
		err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: r.Soft, Max: r.Hard})
		if errors.Is(err, unix.EPERM) {
			return failed("rlimit", "cannot set ulimit %s to %s:%s: raising the hard limit (%s) needs CAP_SYS_RESOURCE, which this machine does not give",
				r.Type, limitText(r.Soft), limitText(r.Hard), currentHard(resource))
		}
		if err != nil {
			return failed("rlimit", "cannot set ulimit %s to %s:%s: %v", r.Type, limitText(r.Soft), limitText(r.Hard), err)
		}
	}
	return nil
}

func currentHard(resource int) string {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(resource, &now); err != nil {
		return "unknown"
	}
	return limitText(now.Max)
}

// rlimitNumber: asm-generic/resource.h, the same on amd64 and arm64.
func rlimitNumber(name string) (int, bool) {
	i := slices.Index([]string{
		"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
		"memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio",
		"rttime",
	}, name)
	return i, i >= 0
}

func limitText(n uint64) string {
	if n == ^uint64(0) {
		return "unlimited"
	}
	return uintText(n)
}

// newKeyring gives the process a session keyring of its own; the host's is
// not to be seen. A kernel without keyrings has nothing to hide.
func (s *stage) newKeyring() error {
	_, _, errno := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	if errno != 0 && errno != unix.ENOSYS {
		return failed("keyring", "cannot make a session keyring: %v", errno)
	}
	return nil
}

// makeWorkingDirectory makes the container's working directory (0755); an
// exec's must exist.
func (s *stage) makeWorkingDirectory() error {
	fd, err := makeDir(s.root, s.Process.Cwd)
	if err != nil {
		return failed("cwd", "cannot make working directory %s: %v", s.Process.Cwd, err)
	}
	return unix.Close(fd)
}

// changeDirectory enters the working directory. Neither a magic link
// (/proc/self/fd/7) nor anything else may lead out of the container.
func (s *stage) changeDirectory() error {
	cwd := s.Process.Cwd
	if cwd == "" {
		cwd = "/"
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("cwd", "cannot open /: %v", err)
	}
	s.opened = append(s.opened, root)
	fd, err := openIn(root, cwd, unix.O_PATH|unix.O_DIRECTORY)
	if err == nil {
		s.opened = append(s.opened, fd)
		err = unix.Fchdir(fd)
	}
	if err != nil {
		return failed("cwd", "cannot enter working directory %s: %v", cwd, err)
	}
	// getcwd(2) says "(unreachable)" of a folder outside of the root.
	if now, err := unix.Getwd(); err != nil || !strings.HasPrefix(now, "/") {
		return failed("cwd", "cannot enter working directory %s: it is outside of the container", cwd)
	}
	return nil
}
