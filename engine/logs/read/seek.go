package read

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mycompose/mycompose/engine/logs"
)

// streams is how many lines can be cut by beginning between two records.
const streams = int(logs.Note)

// seekTail goes backwards from the end until at least tail lines lie behind
// start. first says that start is the very beginning of the log.
func seekTail(dir string, tail int) (start, end position, first bool, err error) {
	numbers, err := logs.Numbers(dir)
	if err != nil {
		return start, end, false, err
	}
	need := need{lines: tail}
	for i := len(numbers) - 1; i >= 0; i-- {
		at, err := seekFile(filepath.Join(dir, logs.FileName(numbers[i])), &need)
		if errors.Is(err, fs.ErrNotExist) {
			break // deleted since, and so are those before it
		}
		if err != nil {
			return start, end, false, err
		}
		if end.number == 0 {
			end = position{numbers[i], at.end}
		}
		start = position{numbers[i], at.start}
		if at.start > int64(len(logs.Magic)) || tail == None {
			return start, end, false, nil
		}
	}
	return start, end, true, nil
}

// need says how far back to go.
type need struct {
	lines    int                 // wanted
	newlines int                 // found
	cut      [logs.Note + 1]bool // the stream's first record found goes on with a line
	beyond   int                 // bytes gone back for the beginnings of lines that were cut
}

func (n *need) add(h logs.Header, data []byte) {
	if n.newlines >= n.lines+streams {
		n.beyond += len(data)
	}
	n.newlines += bytes.Count(data, []byte("\n"))
	n.cut[h.Stream] = h.Flags&logs.FlagContinues != 0
}

// met: enough lines, and none of them without its beginning, as long as that is
// not too far away.
func (n *need) met() bool {
	if n.lines == None {
		return true
	}
	cut := slices.Contains(n.cut[:], true) && n.beyond < MaxLine
	return n.newlines >= n.lines+streams && !cut
}

type span struct{ start, end int64 }

// seekFile goes backwards through a file until the need is met, or to its
// beginning.
func seekFile(path string, need *need) (span, error) {
	f, err := os.Open(path)
	if err != nil {
		return span{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return span{}, err
	}
	end, err := logs.FindEnd(f, info.Size())
	if err != nil {
		return span{}, err
	}
	back := backward{file: f, at: end}
	for !need.met() && back.at > int64(len(logs.Magic)) {
		h, data, err := back.previous()
		if err != nil {
			return span{}, err
		}
		need.add(h, data)
	}
	return span{back.at, end}, nil
}

// backward reads records from the end of a file, block by block.
type backward struct {
	file  *os.File
	at    int64 // end of the record to read next
	block []byte
	from  int64 // offset of block in the file
}

// previous returns the record that ends at the position.
func (b *backward) previous() (logs.Header, []byte, error) {
	trailer, err := b.bytes(logs.TrailerSize)
	if err != nil {
		return logs.Header{}, nil, err
	}
	n := int(uint32(trailer[0]) | uint32(trailer[1])<<8 | uint32(trailer[2])<<16 | uint32(trailer[3])<<24)
	if n < 1 || n > logs.MaxData {
		return logs.Header{}, nil, logs.ErrBadRecord
	}
	whole := logs.HeaderSize + n + logs.TrailerSize
	record, err := b.bytes(whole)
	if err != nil {
		return logs.Header{}, nil, err
	}
	b.at -= int64(whole)
	h, err := logs.ParseHeader(record)
	return h, record[logs.HeaderSize : logs.HeaderSize+n], err
}

// bytes returns the n bytes before the position.
func (b *backward) bytes(n int) ([]byte, error) {
	if b.at < int64(n) {
		return nil, logs.ErrBadRecord
	}
	if b.block == nil || b.at-int64(n) < b.from {
		b.from = max(b.at-int64(max(n, blockSize)), 0)
		b.block = make([]byte, b.at-b.from)
		if _, err := b.file.ReadAt(b.block, b.from); err != nil {
			return nil, err
		}
	}
	end := int(b.at - b.from)
	return b.block[end-n : end], nil
}

// fileSince returns the number of the file to begin with: the one before the
// first whose first record is not earlier than a time: what is asked for can
// begin there. 0 is the first.
func fileSince(dir string, since int64) (int, error) {
	numbers, err := logs.Numbers(dir)
	if err != nil {
		return 0, err
	}
	begin := 0
	for i, number := range numbers {
		at, err := firstTime(filepath.Join(dir, logs.FileName(number)))
		if err != nil {
			continue // deleted since, or nothing in it yet
		}
		if at >= since {
			break
		}
		if i > 0 {
			begin = number
		}
	}
	return begin, nil
}

// firstTime is the time of a file's first record, Unix nanoseconds.
func firstTime(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	header := make([]byte, logs.HeaderSize)
	if _, err := f.ReadAt(header, int64(len(logs.Magic))); err != nil {
		return 0, err
	}
	h, err := logs.ParseHeader(header)
	return h.Time, err
}
