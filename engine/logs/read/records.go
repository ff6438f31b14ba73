package read

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mycompose/mycompose/engine/logs"
)

// position is a place between two records.
type position struct {
	number int // of the file
	offset int64
}

func (p position) before(q position) bool {
	return p.number < q.number || p.number == q.number && p.offset < q.offset
}

// errWait: there is no further whole record now.
var errWait = errors.New("no further record yet")

const blockSize = 128 << 10

// records reads the records of a folder forward from at.
type records struct {
	dir  string
	at   position
	file *os.File // of at.number; nil before the first
	// block holds bytes of the file from block position at.offset-start on.
	block []byte
	start int // of the next record in block
}

// next returns the next record; its data is valid until the next call.
func (r *records) next() (logs.Header, []byte, error) {
	for {
		if r.file == nil {
			if err := r.open(); err != nil {
				return logs.Header{}, nil, err
			}
		}
		record, err := r.whole()
		if err == nil {
			h, err := logs.ParseHeader(record)
			r.start += len(record)
			r.at.offset += int64(len(record))
			return h, record[logs.HeaderSize : len(record)-logs.TrailerSize], err
		}
		if !errors.Is(err, errWait) {
			return logs.Header{}, nil, err
		}
		moved, err := r.advance()
		if err != nil {
			return logs.Header{}, nil, err
		}
		if !moved {
			return logs.Header{}, nil, errWait
		}
	}
}

// whole returns the bytes of the record at the position, errWait if it is not
// whole (yet).
func (r *records) whole() ([]byte, error) {
	header, err := r.bytes(logs.HeaderSize)
	if err != nil {
		return nil, err
	}
	h, err := logs.ParseHeader(header)
	if err != nil {
		r.forget()
		return nil, errWait
	}
	record, err := r.bytes(logs.HeaderSize + h.Size + logs.TrailerSize)
	if err != nil {
		return nil, err
	}
	if logs.Check(record) != nil {
		r.forget()
		return nil, errWait
	}
	return record, nil
}

// bytes returns the next n bytes of the file.
func (r *records) bytes(n int) ([]byte, error) {
	if r.at.offset == 0 { // the magic, once it is there
		magic := make([]byte, len(logs.Magic))
		if _, err := r.file.ReadAt(magic, 0); err != nil {
			return nil, waitAtEOF(err)
		}
		if string(magic) != logs.Magic {
			return nil, fmt.Errorf("cannot read log %s: not a log of this format", r.file.Name())
		}
		r.at.offset = int64(len(logs.Magic))
		r.forget()
	}
	if len(r.block)-r.start >= n {
		return r.block[r.start : r.start+n], nil
	}
	size := max(n, blockSize)
	if cap(r.block) < size {
		grown := make([]byte, len(r.block)-r.start, size)
		copy(grown, r.block[r.start:])
		r.block = grown
	} else {
		rest := copy(r.block[:cap(r.block)], r.block[r.start:])
		r.block = r.block[:rest]
	}
	r.start = 0
	for len(r.block) < n {
		space := r.block[len(r.block):cap(r.block)]
		got, err := r.file.ReadAt(space, r.at.offset+int64(len(r.block)))
		r.block = r.block[:len(r.block)+got]
		if err != nil && len(r.block) < n {
			// Not kept: the writer may cut it off and write anew.
			r.forget()
			return nil, waitAtEOF(err)
		}
	}
	return r.block[:n], nil
}

func (r *records) forget() { r.block, r.start = r.block[:0], 0 }

func waitAtEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errWait
	}
	return fmt.Errorf("cannot read log: %w", err)
}

// open opens the file of the position, or the first after it.
func (r *records) open() error {
	numbers, err := logs.Numbers(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return errWait
	}
	if err != nil {
		return err
	}
	for _, number := range numbers {
		if number < r.at.number {
			continue
		}
		file, err := os.Open(filepath.Join(r.dir, logs.FileName(number)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			return fmt.Errorf("cannot open log: %w", err)
		}
		if number != r.at.number {
			r.at = position{number: number}
		}
		r.file = file
		r.forget()
		return nil
	}
	return errWait
}

// advance goes to the next file if there is one and this one is read to its
// end: the writer never comes back to it.
func (r *records) advance() (moved bool, err error) {
	numbers, err := logs.Numbers(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(numbers) == 0 || numbers[len(numbers)-1] <= r.at.number {
		return false, nil
	}
	// What was written before the next file was made is here by now.
	if _, err := r.whole(); !errors.Is(err, errWait) {
		return true, err
	}
	if err := r.close(); err != nil {
		return false, err
	}
	r.at = position{number: r.at.number + 1}
	return true, nil
}

// gone reports whether the log has been removed under the reader: a log that
// has had a file always has one. The folder's own end is not told as long as a
// file in it is open.
func (r *records) gone() bool {
	if r.file == nil {
		return false
	}
	numbers, err := logs.Numbers(r.dir)
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(numbers) == 0
}

func (r *records) close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	r.forget()
	return err
}
