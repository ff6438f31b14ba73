package daemon

import (
	"context"
	"io"
	"time"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose/event"
	"github.com/mycompose/mycompose/compose/model"
	"github.com/mycompose/mycompose/compose/state"
	"github.com/mycompose/mycompose/engine/spec"
)

// Work is an operation ready to be carried out.
type Work struct {
	client.Operation
	// Model is the project as the client sent it or as it is kept for the
	// client's inputs; nil if the operation came without one.
	Model *model.Project
	// StartedAt is when it began to run, which is not when it came: it may
	// have waited for another one of its project.
	StartedAt time.Time
	// Resumed: an earlier daemon began it.
	Resumed bool
}

// Runner carries out operations. ctx ends if the operation is cancelled or the
// daemon ends; then steps in flight end and no new ones start. emit may be
// called by many goroutines.
type Runner interface {
	Run(ctx context.Context, w Work, emit func(event.Event)) event.Result
	// Recover orders the operations that earlier daemons left without result,
	// and adds (without ID) what a boot of the machine asks for. One that is
	// missing in the answer is forgotten.
	Recover(ctx context.Context, unfinished []client.Operation) ([]client.Operation, error)
	// Recovered tells that all of these are durable.
	Recovered(ctx context.Context) error
}

// Keeper answers for projects that are kept without their file.
type Keeper interface {
	// Projects returns the models kept, by name.
	Projects(ctx context.Context) (map[string]*model.Project, error)
}

// Explainer says why the containers of a service are as they are.
type Explainer interface {
	Explain(ctx context.Context, project, service string) (state.Explanation, error)
}

// Containers are the engine's, as far as the socket offers them.
type Containers interface {
	Containers(ctx context.Context, project string) ([]spec.Container, error)
	StartContainer(ctx context.Context, id string) error
	RunHooks(ctx context.Context, id string, when spec.Moment) error
	KillContainer(ctx context.Context, id, signal string) error
	RemoveContainer(ctx context.Context, id string, how spec.Remove) error
	WaitContainer(ctx context.Context, id string, until spec.Condition) (spec.Status, error)
}

// Things are the engine's networks, volumes and images.
type Things interface {
	Networks(ctx context.Context) ([]spec.Network, error)
	CreateNetwork(ctx context.Context, n spec.Network) (spec.Network, error)
	RemoveNetwork(ctx context.Context, name string) error
	// FindNetwork and InspectNetwork take a name, an id or its beginning.
	FindNetwork(word string) (spec.Network, error)
	InspectNetwork(ctx context.Context, word string) (spec.NetworkDetails, error)
	// PruneNetworks removes those that no container uses and that prune
	// accepts.
	PruneNetworks(ctx context.Context, prune func(spec.Network) bool) ([]string, error)
	// ConnectNetwork and DisconnectNetwork act on running containers too.
	ConnectNetwork(ctx context.Context, container string, a spec.Attachment) error
	DisconnectNetwork(ctx context.Context, container, network string) error
	Volumes(ctx context.Context) ([]spec.Volume, error)
	CreateVolume(ctx context.Context, v spec.Volume) (spec.Volume, error)
	RemoveVolume(ctx context.Context, name string) error
	// PruneVolumes removes those that no container uses and that prune accepts;
	// errs are of volumes that could not be removed.
	PruneVolumes(ctx context.Context, prune func(spec.Volume) bool) (gone []string, errs []error, err error)
	Images(ctx context.Context) ([]spec.Image, error)
}

// Shelf is the care of images.
type Shelf interface {
	InspectImage(ctx context.Context, word string) (spec.ImageDetails, error)
	TagImage(ctx context.Context, word, reference string) error
	DeleteImage(ctx context.Context, word string, force bool) (spec.Deleted, error)
	PruneImages(ctx context.Context, prune spec.Prune) (spec.Pruned, error)
}

// Stream is a connection to a process's stdio: framed, raw with a terminal.
type Stream interface {
	io.ReadWriteCloser
	// CloseWrite ends stdin.
	CloseWrite() error
}

// Processes are the processes inside containers.
type Processes interface {
	// Exec starts a process and returns its id.
	Exec(ctx context.Context, e spec.Exec) (id string, err error)
	// Attach opens the stdio of an exec, or of the container itself ("").
	Attach(ctx context.Context, container, exec string, stdin bool, from *int64) (Stream, error)
	WaitExec(ctx context.Context, container, exec string) (spec.ExecResult, error)
	Resize(ctx context.Context, container, exec string, rows, columns uint16) error
	SignalExec(ctx context.Context, container, exec, signal string) error
}

// LogQuery chooses the lines of one container's log.
type LogQuery struct {
	Since, Until time.Time
	// Tail is the number of last lines, -1 all.
	Tail int
	// Follow waits for more until Done is closed; what is there by then is
	// still read.
	Follow bool
	Done   <-chan struct{}
	// Blocks allows lines of one time as one.
	Blocks bool
}

// LogLine is one line, or with Blocks several.
type LogLine struct {
	Time   time.Time
	Stream byte // client.Stdout or client.Stderr
	// Data is without its last newline; others in it separate lines of the
	// same time.
	Data []byte
	// Cut: the next one of the stream goes on with it.
	Cut bool
}

// Logs reads the logs of containers.
type Logs interface {
	// ReadLog gives lines to each, in order, until there are no more or each
	// fails. Data is valid during the call only.
	ReadLog(ctx context.Context, container string, q LogQuery, each func(LogLine) error) error
}

// Contents keeps the bytes of configs and secrets.
type Contents interface {
	// PutContent keeps bytes and returns their SHA-256 in hex.
	PutContent(content []byte) (digest string, err error)
	// HasContent reports whether the bytes of a digest are kept.
	HasContent(digest string) bool
	// PruneContents forgets all but those wanted and those that containers
	// use.
	PruneContents(wanted map[string]bool) error
}

// Usage tells what containers do.
type Usage interface {
	ContainerProcesses(ctx context.Context, id string) ([]spec.Process, error)
	ContainerStats(ctx context.Context, id string) (spec.Stats, error)
}

// Archives reach the files of containers.
type Archives interface {
	StatFile(ctx context.Context, id, path string) (spec.FileInfo, error)
	PackFiles(ctx context.Context, id, path string, follow bool, to io.Writer) error
	UnpackFiles(ctx context.Context, id, folder string, from io.Reader) error
	ExportContainer(ctx context.Context, id string, to io.Writer) error
}

// Happenings tells what happens to containers from now on; the channel is
// closed when its reader lags far behind.
type Happenings interface {
	Events() (events <-chan spec.Event, stop func())
}

// Host says what the machine offers, for info, and cares for the state folder.
type Host interface {
	Features(ctx context.Context) map[string]string
	// PruneRemains removes what was set aside because it was damaged, and returns
	// what is gone.
	PruneRemains(ctx context.Context) ([]string, error)
}
