package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
)

// postExec starts a process; unless asked to detach, its stream follows.
func (s *server) postExec(w http.ResponseWriter, r *http.Request) error {
	var request spec.Exec
	if err := decode(r, &request); err != nil {
		return err
	}
	id, err := s.Processes.Exec(r.Context(), request)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("detach") != "" {
		return answer(w, client.Created{ID: id})
	}
	// From its first byte on: an earlier daemon may have been asked before, and
	// have died before it answered.
	return s.stream(w, r, request.Container, id, request.Stdin, new(int64))
}

func (s *server) attachExec(w http.ResponseWriter, r *http.Request) error {
	from, err := position(r)
	if err != nil {
		return err
	}
	return s.stream(w, r, r.URL.Query().Get("container"), r.PathValue("id"), true, from)
}

// position is how much of a stream has arrived already; nil if nothing is said.
func position(r *http.Request) (*int64, error) {
	text := r.URL.Query().Get("from")
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return nil, spec.Errorf(spec.ErrInvalid, "cannot attach: from is no number: %q", text)
	}
	return &n, nil
}

func (s *server) attachContainer(w http.ResponseWriter, r *http.Request) error {
	from, err := position(r)
	if err != nil {
		return err
	}
	return s.stream(w, r, r.PathValue("id"), "", r.URL.Query().Get("stdin") != "", from)
}

func (s *server) waitExec(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := s.untilEnd(r.Context())
	defer cancel()
	result, err := s.Processes.WaitExec(ctx, r.URL.Query().Get("container"), r.PathValue("id"))
	if s.ctx.Err() != nil {
		panic(http.ErrAbortHandler) // the client comes back to our successor
	}
	if err != nil {
		return err
	}
	return answer(w, result)
}

func (s *server) resizeExec(w http.ResponseWriter, r *http.Request) error {
	return s.resize(w, r, r.URL.Query().Get("container"), r.PathValue("id"))
}

func (s *server) resizeContainer(w http.ResponseWriter, r *http.Request) error {
	return s.resize(w, r, r.PathValue("id"), "")
}

func (s *server) resize(w http.ResponseWriter, r *http.Request, container, exec string) error {
	var size client.Resize
	if err := decode(r, &size); err != nil {
		return err
	}
	if err := s.Processes.Resize(r.Context(), container, exec, size.Rows, size.Columns); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

func (s *server) signalExec(w http.ResponseWriter, r *http.Request) error {
	var request client.Signal
	if err := decode(r, &request); err != nil {
		return err
	}
	if err := s.Processes.SignalExec(r.Context(), r.URL.Query().Get("container"), r.PathValue("id"), request.Signal); err != nil {
		return err
	}
	return answer(w, struct{}{})
}

// stream joins the client's connection to a process's stdio. The bytes pass
// unread; either end may close first.
func (s *server) stream(w http.ResponseWriter, r *http.Request, container, exec string, stdin bool, from *int64) error {
	process, err := s.Processes.Attach(r.Context(), container, exec, stdin, from)
	if err != nil {
		return err
	}
	defer process.Close()
	conn, reader, err := s.upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.hijacked.Done()
	defer conn.Close()
	var both sync.WaitGroup
	both.Add(1)
	go func() { // ends when the client half-closes, or by conn.Close below
		defer both.Done()
		// A read error means the client has gone: its stdin ends then too.
		_, _ = io.Copy(process, reader)
		_ = process.CloseWrite()
	}()
	stop := s.closeAtEnd(conn, process)
	_, err = io.Copy(conn, process)
	stop()
	if half, ok := conn.(*net.UnixConn); ok {
		_ = half.CloseWrite()
	}
	conn.Close()
	both.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("stream ended", "container", container, "err", err)
	}
	return errAnswered
}

// closeAtEnd closes both when the daemon ends; the returned function ends the
// watch and waits for it.
func (s *server) closeAtEnd(closers ...io.Closer) (stop func()) {
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Add(1)
	go func() {
		defer watch.Done()
		select {
		case <-done:
		case <-s.ctx.Done():
			for _, c := range closers {
				c.Close()
			}
		}
	}()
	return func() { close(done); watch.Wait() }
}

// upgrade answers 101 and takes the connection over. The caller calls
// hijacked.Done at the end.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request) (net.Conn, io.Reader, error) {
	if r.Header.Get("Upgrade") == "" {
		return nil, nil, spec.Errorf(spec.ErrInvalid, "this path needs an upgrade")
	}
	header := w.Header().Clone()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot take over connection: %w", err)
	}
	s.hijacked.Add(1)
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "tcp")
	if err := writeSwitching(buffered.Writer, header); err != nil {
		conn.Close()
		s.hijacked.Done()
		return nil, nil, errAnswered
	}
	if buffered.Reader.Buffered() == 0 {
		return conn, conn, nil
	}
	return conn, buffered.Reader, nil
}

func writeSwitching(w *bufio.Writer, header http.Header) error {
	if _, err := w.WriteString("HTTP/1.1 101 UPGRADED\r\n"); err != nil {
		return err
	}
	if err := header.Write(w); err != nil {
		return err
	}
	if _, err := w.WriteString("\r\n"); err != nil {
		return err
	}
	return w.Flush()
}
