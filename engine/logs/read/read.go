// Package read reads the log folders that package logs writes: lines with time
// and stream, from a time or from the n-th last line on, to a time or on and
// on. It needs memory for one block and for the lines that are not finished
// yet, and it reads while the writer writes, rotates, dies and comes back.
//
//	blocks ──▶ records ──▶ lines (parts joined per stream) ──▶ since, until
//
// A line has the time of its first byte. Lines come in the order in which they
// end; lines of one stream never change their order.
package read

import (
	"context"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
)

// MaxLine is the longest line in bytes that is handed out in one piece.
const MaxLine = 1 << 20

// Tail values of Options.
const (
	All  = 0  // every line
	None = -1 // only what is written from now on
)

// Options choose the lines.
type Options struct {
	// Since leaves out what was written before the first record of that time or
	// a later one, Until later lines; zero is no bound. A clock that is set back
	// afterwards hides nothing: what a follower meets at the end of the log is
	// newer than Since, whatever its time.
	Since, Until time.Time
	// Tail is the number of last lines to begin with, All or None.
	Tail int
	// Follow waits for more at the end, until Done is closed (then what is
	// there is still read), the folder is removed, or Until has passed.
	Follow bool
	Done   <-chan struct{}
	// Blocks allows lines that were read at the same moment to come as one
	// Line, with newlines between them.
	Blocks bool
}

// Line is one line, without its newline.
type Line struct {
	Time   time.Time
	Stream logs.Stream
	// Data is valid until the next call.
	Data []byte
	// Partial: no newline ended it. Its process ended, its rest is lost, it
	// is longer than MaxLine, or (not following) it is still being written.
	Partial bool
	// early: it was begun before what Since asks for.
	early bool
	// Cut: it is longer than MaxLine, and the next Line of its stream goes on
	// with it.
	Cut bool
}

// Open opens a log folder. One that does not exist is an fs.ErrNotExist; one
// without files is empty.
func Open(dir string, options Options) (*Reader, error) { return open(dir, options) }

// Next returns the next line, io.EOF after the last.
func (r *Reader) Next(ctx context.Context) (Line, error) { return r.next(ctx) }

// Close ends reading.
func (r *Reader) Close() error { return r.close() }
