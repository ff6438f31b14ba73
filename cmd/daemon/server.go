package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/compose"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/store"
)

// Parts is everything that the socket is served from.
type Parts struct {
	Runner     Runner
	Keeper     Keeper
	Explainer  Explainer
	Containers Containers
	Things     Things
	Shelf      Shelf
	Processes  Processes
	Logs       Logs
	Contents   Contents
	Host       Host
	// Watches are the watched projects; nil watches none.
	Watches  *compose.Watches
	Usage    Usage
	Archives Archives
	// Happenings may be nil: then nothing ever happens.
	Happenings Happenings

	inputs *inputs // nil: one over Contents
}

// server answers on the socket.
type server struct {
	objects *store.Store
	Parts
	info       client.Info // what does not change
	instance   string
	operations *operations
	happened   *happenings
	log        *slog.Logger
	// ctx ends when the daemon ends; streams and waits end with it.
	ctx context.Context
	// listening counts further listeners, see named.
	listening sync.WaitGroup
	// hijacked counts streams that http.Server knows no more.
	hijacked sync.WaitGroup
}

// handler routes requests. A pattern below client.Base is ours alone.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	add := func(pattern string, f func(w http.ResponseWriter, r *http.Request) error) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+client.Base+path, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	add("GET /hello", func(w http.ResponseWriter, _ *http.Request) error { return answer(w, struct{}{}) })
	add("GET /info", s.getInfo)
	add("POST /system/stop", s.stopSystem)
	add("POST /system/prune", s.pruneSystem)

	add("POST /operations", s.postOperation)
	add("GET /operations/{id}", s.getOperation)
	add("GET /operations/{id}/events", s.getEvents)
	add("POST /operations/{id}/cancel", s.cancelOperation)
	add("GET /inputs/{key}", s.getInput)

	add("GET /projects", s.getProjects)
	add("GET /projects/{name}/services", s.getServices)
	add("GET /projects/{name}/services/{service}/explain", s.getExplanation)
	add("GET /projects/{name}/watch", s.getWatch)
	add("POST /projects/{name}/watch", s.changeWatch)
	add("GET /projects/{name}/watch/explain", s.explainWatch)
	add("GET /projects/{name}/watch/events", s.getWatchEvents)
	add("GET /containers", s.getContainers)
	add("POST /containers/{id}/start", s.startContainer)
	add("POST /containers/{id}/post-start", s.runPostStart)
	add("POST /containers/{id}/remove", s.removeContainer)
	add("POST /containers/{id}/signal", s.signalContainer)
	add("POST /containers/{id}/resize", s.resizeContainer)
	add("GET /containers/{id}/wait", s.waitContainer)
	add("POST /containers/{id}/attach", s.attachContainer)
	add("GET /containers/{id}/processes", s.getProcesses)
	add("GET /containers/{id}/stats", s.getStats)
	add("GET /containers/{id}/file", s.getFile)
	add("GET /containers/{id}/archive", s.getArchive)
	add("POST /containers/{id}/archive", s.putArchive)
	add("GET /containers/{id}/export", s.getExport)
	add("GET /events", s.getEventStream)

	add("GET /networks", s.getNetworks)
	add("POST /networks", s.createNetwork)
	add("DELETE /networks", s.removeNetwork)
	add("GET /networks/details", s.getNetwork)
	add("POST /networks/prune", s.pruneNetworks)
	add("POST /networks/connect", s.connectNetwork)
	add("POST /networks/disconnect", s.disconnectNetwork)
	add("GET /volumes", s.getVolumes)
	add("POST /volumes", s.createVolume)
	add("DELETE /volumes", s.removeVolume)
	add("POST /volumes/prune", s.pruneVolumes)
	add("GET /images", s.getImages)
	add("DELETE /images", s.removeImage)
	add("GET /images/details", s.inspectImage)
	add("POST /images/tag", s.tagImage)
	add("POST /images/prune", s.pruneImages)

	add("POST /exec", s.postExec)
	add("POST /exec/{id}/attach", s.attachExec)
	add("GET /exec/{id}/wait", s.waitExec)
	add("POST /exec/{id}/resize", s.resizeExec)
	add("POST /exec/{id}/signal", s.signalExec)
	add("POST /logs", s.postLogs)

	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	return s.greet(mux)
}

// greet puts our headers on every answer and refuses another protocol.
func (s *server) greet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(client.HeaderBuild, s.info.Build)
		if s.ctx.Err() != nil {
			panic(http.ErrAbortHandler) // our successor answers
		}
		w.Header().Set(client.HeaderInstance, s.instance)
		w.Header().Set(client.HeaderProtocol, strconv.Itoa(client.Protocol))
		if names := s.operations.atWork(); len(names) > 0 {
			w.Header().Set(client.HeaderBusy, strings.Join(names, ", "))
		}
		theirs := r.Header.Get(client.HeaderProtocol)
		if strings.HasPrefix(r.URL.Path, client.Base) && theirs != strconv.Itoa(client.Protocol) && r.URL.Path != client.Base+"/hello" {
			write(w, http.StatusConflict, client.Failure{
				Error: fmt.Sprintf("the daemon speaks protocol %d, this command %q", client.Protocol, theirs), Code: client.CodeProtocol,
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fail answers with an error, or drops a connection that was answered already.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errAnswered) || r.Context().Err() != nil {
		return
	}
	code := spec.Code(err)
	status := http.StatusInternalServerError
	switch code {
	case "not-found", "image-missing":
		status = http.StatusNotFound
	case "conflict", "in-use", "not-running", "port-taken":
		status = http.StatusConflict
	case "invalid", "unsupported", "command":
		status = http.StatusBadRequest
	case "":
		s.log.Error("request failed", "path", r.URL.Path, "err", err)
	}
	write(w, status, client.Failure{Error: err.Error(), Code: code})
}

// errAnswered ends a handler that has taken over its connection.
var errAnswered = errors.New("answered")

func answer(w http.ResponseWriter, v any) error {
	write(w, http.StatusOK, v)
	return nil
}

// write sends v as JSON. A client that has gone cannot be told.
func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":"cannot write the answer"}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}

// maxRequest bounds a request's body in bytes: models and contents of configs.
const maxRequest = 256 << 20

func decode(r *http.Request, into any) error {
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest)).Decode(into); err != nil {
		return spec.Errorf(spec.ErrInvalid, "cannot read request: %v", err)
	}
	return nil
}

// listen makes the socket, 0600, in the runtime folder, 0700. The caller holds
// daemon.lock, so a socket that is there is a dead one.
func listen(path string) (net.Listener, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	// bind(2) makes the file; in a 0700 folder nobody else reaches it before
	// the chmod.
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen: %w", err), l.Close())
	}
	l.(*net.UnixListener).SetUnlinkOnClose(true)
	return ownerOnly{l}, nil
}

// ownerOnly drops connections of other users.
type ownerOnly struct{ net.Listener }

// Accept returns the next connection of our own user or of root.
func (l ownerOnly) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(conn)
		if err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

// peerUID asks the kernel who connected, unix(7) SO_PEERCRED.
func peerUID(conn net.Conn) (uint32, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var optionErr error
	err = raw.Control(func(fd uintptr) {
		credentials, optionErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, optionErr); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}
