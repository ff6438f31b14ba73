package folder

import (
	"fmt"
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
	TagVariable      = "MYCOMPOSE_TAG"
)

// Place says where the things of one state folder are. It is plain data; see
// packages folder and store for what lies where. store.Locate makes one.
type Place struct {
	State   string // real path of the state folder
	RunRoot string
	Run     string // RunRoot/Tag
	Tag     string // 8 hex digits
}

// Inherited is the place that the environment names: what the small program's
// roles are started with, see Environment. It computes nothing, since a hash
// would weigh more than all else in that program.
func Inherited() (Place, error) {
	p := Place{State: os.Getenv(StateDirVariable), RunRoot: os.Getenv(RunRootVariable), Tag: os.Getenv(TagVariable)}
	if p.State == "" || CheckName(p.Tag) != nil {
		return Place{}, fmt.Errorf("cannot find the state folder: %s and %s are not both set; mycompose sets them", StateDirVariable, TagVariable)
	}
	if p.RunRoot == "" {
		p.RunRoot = DefaultRunRoot
	}
	p.Run = filepath.Join(p.RunRoot, p.Tag)
	return p, nil
}

// Environment is the reduced environment of our processes.
func (p Place) Environment() []string {
	env := []string{StateDirVariable + "=" + p.State, TagVariable + "=" + p.Tag}
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

// UpperTried names the file system, at this boot, on which an overlay was tried
// and works.
func (p Place) UpperTried() string { return filepath.Join(p.Run, "upper") }

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

// Temporary is where a file that one process only writes is made before it takes
// the place of path.
func Temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

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

// SkeletonDir is the owner's only; its folder root holds the mount points that
// lie below every image.
func (p Place) SkeletonDir() string { return filepath.Join(p.State, "skeleton") }

// LayersDir holds the unpacked layers.
func (p Place) LayersDir() string { return filepath.Join(p.State, "layers") }

// VolumesDir holds the volumes; the content of one is VolumesDir/NAME/_data.
func (p Place) VolumesDir() string { return filepath.Join(p.State, "volumes") }

// BuilderDir is the builder's own.
func (p Place) BuilderDir() string { return filepath.Join(p.State, "builder") }

// DaemonLog takes what daemon and builder write to stderr.
func (p Place) DaemonLog() string { return filepath.Join(p.State, "daemon.log") }
