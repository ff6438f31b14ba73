package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DefaultStateDir is where durable state lies unless told otherwise.
const DefaultStateDir = "/var/lib/mycompose"

// DefaultRunRoot is where run folders lie unless RunRootVariable says otherwise.
const DefaultRunRoot = "/run/mycompose"

// Environment variables that every process of ours keeps.
const (
	StateDirVariable = "MYCOMPOSE_STATE_DIR"
	RunRootVariable  = "MYCOMPOSE_RUN_ROOT"
)

// Place says where the things of one state folder are. It is plain data; see
// the package's documentation for what lies where.
type Place struct {
	State   string // real path of the state folder
	RunRoot string
	Run     string // RunRoot/Tag
	Tag     string // 8 hex digits
}

// Locate finds the place of a state folder, which need not exist yet. An empty
// dir means DefaultStateDir, an empty runRoot DefaultRunRoot.
func Locate(dir, runRoot string) (Place, error) {
	if dir == "" {
		dir = DefaultStateDir
	}
	if runRoot == "" {
		runRoot = DefaultRunRoot
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Place{}, fmt.Errorf("cannot find state folder %s: %w", dir, err)
	}
	abs, err = realPath(abs)
	if err != nil {
		return Place{}, fmt.Errorf("cannot find state folder %s: %w", dir, err)
	}
	tag := Tag(abs)
	return Place{State: abs, RunRoot: runRoot, Run: filepath.Join(runRoot, tag), Tag: tag}, nil
}

// LocateEnv is Locate with what the environment says.
func LocateEnv() (Place, error) {
	return Locate(os.Getenv(StateDirVariable), os.Getenv(RunRootVariable))
}

// Tag names everything of the state folder with this real path: the first 8
// hex digits of its SHA-256.
func Tag(realPath string) string {
	sum := SHA256([]byte(realPath))
	return hex.EncodeToString(sum[:4])
}

// realPath resolves links in what exists of an absolute path.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path, nil
	}
	real, err = realPath(parent)
	return filepath.Join(real, filepath.Base(path)), err
}

// Environment is the reduced environment of our processes.
func (p Place) Environment() []string {
	env := []string{StateDirVariable + "=" + p.State}
	if p.RunRoot != DefaultRunRoot {
		env = append(env, RunRootVariable+"="+p.RunRoot)
	}
	return env
}

// KeeperLock is held by the keeper for life.
func (p Place) KeeperLock() string { return filepath.Join(p.Run, "keeper.lock") }

// KeeperSocket is where the keeper listens.
func (p Place) KeeperSocket() string { return filepath.Join(p.Run, "keeper.sock") }

// DaemonLock is held by the daemon for life; see TakeDaemonLock.
func (p Place) DaemonLock() string { return filepath.Join(p.Run, "daemon.lock") }

// Socket is where the daemon listens.
func (p Place) Socket() string { return filepath.Join(p.Run, "api.sock") }

// Stopped exists while there is no keeper on purpose.
func (p Place) Stopped() string { return filepath.Join(p.Run, "stopped") }

// MonitorDir holds the sockets of the monitors, named <container id>.sock.
func (p Place) MonitorDir() string { return filepath.Join(p.Run, "monitor") }

// MonitorSocket is where the monitor of a container listens.
func (p Place) MonitorSocket(id string) string { return filepath.Join(p.MonitorDir(), id+".sock") }

// MonitorLock is held by the monitor of a container for life.
func (p Place) MonitorLock(id string) string { return filepath.Join(p.MonitorDir(), id+".lock") }

// ProxyLock is held by the proxy for life.
func (p Place) ProxyLock() string { return filepath.Join(p.Run, "proxy.lock") }

// ProxySocket is where the proxy listens.
func (p Place) ProxySocket() string { return filepath.Join(p.Run, "proxy.sock") }

// ExitRecord is where the monitor of a container writes how it ended.
func (p Place) ExitRecord(id string) string { return filepath.Join(p.Run, "exits", id+".json") }

// LogDir is the log folder of a replica ("web-1") of a project; a container
// without project has its log below "_".
func (p Place) LogDir(project, replica string) string {
	if project == "" {
		project = "_"
	}
	return filepath.Join(p.State, "logs", project, replica)
}

// ContainerDir is a container's own folder.
func (p Place) ContainerDir(id string) string { return filepath.Join(p.State, "containers", id) }

// LayersDir holds the unpacked layers.
func (p Place) LayersDir() string { return filepath.Join(p.State, "layers") }

// VolumesDir holds the volumes; the content of one is VolumesDir/NAME/_data.
func (p Place) VolumesDir() string { return filepath.Join(p.State, "volumes") }

// BuilderDir is the builder's own.
func (p Place) BuilderDir() string { return filepath.Join(p.State, "builder") }

// DaemonLog takes what daemon and builder write to stderr.
func (p Place) DaemonLog() string { return filepath.Join(p.State, "daemon.log") }
