package wire

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
	"github.com/mycompose/mycompose/engine/folder"
)

// Spare is a monitor that has no container yet: its program is loaded and its
// runtime has begun. It ends when whoever started it ends.
//
//	daemon                               spare
//	  │ lock taken, socket listens         │ waits
//	  │ id + listener, lock ──────────────▶│ is the container's monitor
//	  │◀───────────────────────────── end  │ shows the container
//	  │ dials as any monitor               │
type Spare struct {
	process *os.Process
	conn    *Conn
	ended   chan struct{}
}

// shortID is how much of a container's id a process shows, bytes.
const shortID = 12

// StartSpare starts one. binary and small are as for StartMonitor.
func StartSpare(place folder.Place, binary, small *os.File) (*Spare, error) {
	ours, theirs, err := Pair()
	if err != nil {
		return nil, fmt.Errorf("cannot start a spare monitor: %w", err)
	}
	other := os.NewFile(uintptr(theirs), "spare")
	defer other.Close()
	conn, err := NewConn(ours)
	if err != nil {
		unix.Close(ours)
		return nil, fmt.Errorf("cannot start a spare monitor: %w", err)
	}
	program := monitorProgram(place, strings.Repeat("-", shortID), "", small)
	program.Files = []*os.File{binary, small, other}
	process, err := program.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start a spare monitor: %w", err), conn.Close())
	}
	s := &Spare{process: process, conn: conn, ended: make(chan struct{})}
	go func() { // until it ends, as that of any monitor
		defer close(s.ended)
		_, _ = Wait(process)
	}()
	return s, nil
}

// Become makes it the monitor of a container. After an error it is to be ended.
func (s *Spare) Become(h *MonitorHold) (ended <-chan struct{}, err error) {
	if err := fault.Errno("spare:send"); err != nil {
		return nil, err
	}
	files, err := numbers(h.listener.File(), h.lock.File())
	if err != nil {
		return nil, err
	}
	if err := s.conn.Send([]byte(h.id), files...); err != nil {
		return nil, fmt.Errorf("cannot use a spare monitor: %w", err)
	}
	fault.Point("spare:sent")
	go s.follow()
	return s.ended, nil
}

// follow sees to it that it takes what was sent, if somebody has stopped it: nobody
// could find it by its container before. It closes its end when it shows that.
func (s *Spare) follow() {
	defer s.conn.Close()
	taken := make(chan struct{})
	go func() { // until it, or we, close
		defer close(taken)
		_, _, _ = s.conn.Receive()
	}()
	look := time.NewTicker(silence)
	defer look.Stop()
	for {
		select {
		case <-taken:
			return
		case <-s.ended:
			return
		case <-look.C:
			LetGoOn(s.process.Pid)
		}
	}
}

// End ends it and waits for that.
func (s *Spare) End() {
	s.conn.Close()
	_ = s.process.Kill() // an error: it has ended
	<-s.ended
}

// AwaitContainer waits, in a spare monitor, for the container that it is to be the
// monitor of. The id is empty if there will be none.
func AwaitContainer() (id string, inherited Inherited, err error) {
	inherited, err = takePrograms(FDBinary)
	if err != nil {
		return "", inherited, err
	}
	conn, err := NewConn(FDListener)
	if err != nil {
		return "", inherited, err
	}
	defer conn.Close()
	body, files, err := conn.Receive()
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return "", inherited, nil
	}
	if err != nil || len(files) != 2 || len(body) < shortID {
		return "", inherited, fmt.Errorf("cannot become a monitor: %d bytes, %d descriptors, %w", len(body), len(files), err)
	}
	inherited.Lock = files[1]
	inherited.Listener, err = NewListener(files[0])
	showID(string(body))
	return string(body), inherited, err
}

// showID shows the container in place of the dashes: proc_pid_cmdline(5) is the
// memory that the arguments were given in.
func showID(id string) {
	if len(os.Args) > 1 && len(os.Args[1]) == shortID {
		copy(unsafe.Slice(unsafe.StringData(os.Args[1]), shortID), id)
	}
}
