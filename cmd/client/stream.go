package client

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mycompose/mycompose/engine/fault"
)

// A frame of a stream is Docker's: a header of eight bytes, then the bytes.
//
//	0      stream: 1 stdout, 2 stderr, 4 a Note as JSON (logs only)
//	1      flags: 1 = the line is cut, the rest follows (logs only)
//	2–3    source: number of the replica (logs only), big endian
//	4–7    length of what follows, big endian
//
// Docker leaves bytes 1 to 3 zero, and so do attach and exec. In logs each
// frame is one line without its newline, led by eight bytes with its time in
// nanoseconds since 1970, big endian. With a terminal attach and exec are raw
// bytes without frames.
const (
	Stdout byte = 1
	Stderr byte = 2
	Noted  byte = 4

	// FlagCut marks a line whose rest follows in the next frame.
	FlagCut byte = 1

	// maxFrame bounds what a reader takes in; log lines and pipe reads are
	// far smaller.
	maxFrame = 4 << 20
)

// Note is news inside a log stream.
type Note struct {
	// Name and ID begin a source: how the replica is called, its container.
	Name string `json:"name,omitempty"`
	ID   string `json:"id,omitempty"`
	// Exited: the container has ended with no restart to come.
	Exited   bool `json:"exited,omitempty"`
	ExitCode int  `json:"exitCode,omitempty"`
	// At is when it ended: the same end may be told again after a reconnect.
	At time.Time `json:"at,omitzero"`
	// Restarted: the container runs again, At is since when, ExitCode that of
	// the run before. Recreated: another container took its place. Only a
	// stream that stays tells.
	Restarted bool `json:"restarted,omitempty"`
	Recreated bool `json:"recreated,omitempty"`
	// Over is the last frame: there is no more to come. A stream that ends
	// without it was cut off.
	Over bool `json:"over,omitempty"`
	// Lost lines that the log could not keep.
	Lost int64 `json:"lost,omitempty"`
}

// Frame is one frame.
type Frame struct {
	Stream byte
	Flags  byte
	Source uint16
	// Data is valid until the next Read.
	Data []byte
}

// LogLine splits the data of a line frame of a log.
func (f Frame) LogLine() (time.Time, []byte, error) {
	if len(f.Data) < 8 {
		return time.Time{}, nil, fmt.Errorf("cannot read log stream: frame of %d bytes", len(f.Data))
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(f.Data))), f.Data[8:], nil
}

// Note decodes the data of a Noted frame.
func (f Frame) Note() (Note, error) {
	var n Note
	if err := json.Unmarshal(f.Data, &n); err != nil {
		return Note{}, fmt.Errorf("cannot read log stream: %w", err)
	}
	return n, nil
}

// FrameReader reads frames; the reader should be buffered.
type FrameReader struct {
	from   io.Reader
	buffer []byte
	header [8]byte
}

// NewFrameReader reads frames from r.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{from: r} }

// Read returns the next frame, io.EOF at the end.
func (r *FrameReader) Read() (Frame, error) {
	if _, err := io.ReadFull(r.from, r.header[:]); err != nil {
		return Frame{}, err
	}
	size := int(binary.BigEndian.Uint32(r.header[4:]))
	if size > maxFrame {
		return Frame{}, fmt.Errorf("cannot read stream: frame of %d bytes", size)
	}
	if size > len(r.buffer) {
		r.buffer = make([]byte, max(size, 32<<10))
	}
	if _, err := io.ReadFull(r.from, r.buffer[:size]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	fault.Point("client:frame")
	return Frame{
		Stream: r.header[0], Flags: r.header[1],
		Source: binary.BigEndian.Uint16(r.header[2:]),
		Data:   r.buffer[:size],
	}, nil
}

// AppendFrame appends a frame to b.
func AppendFrame(b []byte, stream, flags byte, source uint16, data ...[]byte) []byte {
	size := 0
	for _, d := range data {
		size += len(d)
	}
	b = append(b, stream, flags)
	b = binary.BigEndian.AppendUint16(b, source)
	b = binary.BigEndian.AppendUint32(b, uint32(size))
	for _, d := range data {
		b = append(b, d...)
	}
	return b
}

// AppendLogLine appends the frame of one line of a log.
func AppendLogLine(b []byte, stream, flags byte, source uint16, at time.Time, line []byte) []byte {
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(at.UnixNano()))
	return AppendFrame(b, stream, flags, source, stamp[:], line)
}

// CopyFrames writes stdout and stderr frames to their writers until the end. It
// returns how many bytes of the stream were whole frames that are written.
func CopyFrames(from io.Reader, stdout, stderr io.Writer) (int64, error) {
	frames := NewFrameReader(from)
	for copied := int64(0); ; {
		f, err := frames.Read()
		if errors.Is(err, io.EOF) {
			return copied, nil
		}
		if err != nil {
			return copied, err
		}
		to := stdout
		if f.Stream == Stderr {
			to = stderr
		}
		if _, err := to.Write(f.Data); err != nil {
			return copied, err
		}
		copied += int64(frameHeader + len(f.Data))
	}
}

// frameHeader is its length in bytes.
const frameHeader = 8
