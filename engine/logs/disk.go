package logs

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/fault"
)

type osDisk struct{}

// osFile is a plain descriptor: regular files gain nothing from the poller.
type osFile int

func (osDisk) open(path string) (file, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile(fd), nil
}

func (osDisk) remove(path string) error { return os.Remove(path) }

func (f osFile) writev(parts [][]byte) (int, error) {
	if err := fault.Errno("logs:write"); err != nil {
		return 0, err
	}
	for {
		n, err := unix.Writev(int(f), parts)
		if err != unix.EINTR {
			fault.Point("logs:written")
			return max(n, 0), err
		}
	}
}

func (f osFile) truncate(size int64) error { return unix.Ftruncate(int(f), size) }
func (f osFile) Close() error              { return unix.Close(int(f)) }

// lockFolder makes this process the only writer of a log folder.
func lockFolder(dir string) (*os.File, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot lock log: %w", err)
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another process writes it")
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock log: %w", err)
	}
	return file, nil
}

// findEnd returns the offset behind the last whole record of a file, 0 if not
// even its magic is whole, and whether nothing lies behind it.
func findEnd(path string) (end int64, whole bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, fmt.Errorf("cannot open log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, false, fmt.Errorf("cannot open log: %w", err)
	}
	end, err = FindEnd(f, info.Size())
	return end, end == info.Size(), err
}

// FindEnd returns the offset behind the last whole record among the first size
// bytes of a log file, 0 if not even its magic is whole.
func FindEnd(f io.ReaderAt, size int64) (int64, error) {
	magic := make([]byte, len(Magic))
	if _, err := f.ReadAt(magic, 0); err != nil || string(magic) != Magic {
		if err == nil || errors.Is(err, io.EOF) {
			return 0, nil
		}
		return 0, fmt.Errorf("cannot read log: %w", err)
	}
	if size <= int64(len(Magic)) {
		return int64(len(Magic)), nil
	}
	if _, err := RecordBefore(f, size); err == nil {
		return size, nil // as a rule: its writer ended in order
	}
	end := int64(len(Magic))
	for {
		record, err := RecordAt(f, end, size)
		if errors.Is(err, ErrBadRecord) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		end += int64(len(record))
	}
}

// RecordAt reads the whole record at an offset of a file of size bytes;
// ErrBadRecord if there is none.
func RecordAt(f io.ReaderAt, offset, size int64) ([]byte, error) {
	header := make([]byte, HeaderSize)
	if offset+HeaderSize+TrailerSize > size {
		return nil, ErrBadRecord
	}
	if _, err := f.ReadAt(header, offset); err != nil {
		return nil, fmt.Errorf("cannot read log: %w", err)
	}
	h, err := ParseHeader(header)
	if err != nil {
		return nil, err
	}
	whole := int64(HeaderSize + h.Size + TrailerSize)
	if offset+whole > size {
		return nil, ErrBadRecord
	}
	record := make([]byte, whole)
	if _, err := f.ReadAt(record, offset); err != nil {
		return nil, fmt.Errorf("cannot read log: %w", err)
	}
	return record, Check(record)
}

// RecordBefore reads the whole record that ends at an offset; ErrBadRecord if
// there is none.
func RecordBefore(f io.ReaderAt, end int64) ([]byte, error) {
	const least = HeaderSize + 1 + TrailerSize
	if end < int64(len(Magic))+least {
		return nil, ErrBadRecord
	}
	trailer := make([]byte, TrailerSize)
	if _, err := f.ReadAt(trailer, end-TrailerSize); err != nil {
		return nil, fmt.Errorf("cannot read log: %w", err)
	}
	n := int64(uint32(trailer[0]) | uint32(trailer[1])<<8 | uint32(trailer[2])<<16 | uint32(trailer[3])<<24)
	start := end - HeaderSize - n - TrailerSize
	if n < 1 || n > MaxData || start < int64(len(Magic)) {
		return nil, ErrBadRecord
	}
	return RecordAt(f, start, end)
}
