package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Defaults of Options.
const (
	DefaultMaxSize  = 10 << 20 // bytes
	DefaultMaxFiles = 3
)

// Options say where and how much; zero bounds mean the defaults.
type Options struct {
	Dir      string
	MaxSize  int64 // bytes of one file
	MaxFiles int
}

// Writer appends to a log. It never fails for good: what it cannot store it
// counts, and it writes the count when it can. Methods may be called by many
// goroutines.
type Writer struct {
	options Options
	disk    disk

	mu     sync.Mutex // guards what follows
	file   file       // nil: not begun, or could not be opened and is tried again
	lock   *os.File   // held; nil: not yet
	number int
	size   int64          // of the file, all whole records
	torn   bool           // the file goes beyond size
	inLine [Note + 1]bool // the stream's last record ended within a line
	skip   [Note + 1]int  // bytes in which the rest of a lost line may end
	lost   int64          // lines not stored since the last note
	cause  error          // of the loss
	retry  time.Time      // no attempt to open before

	// Scratch of append: what a record is made of costs no garbage.
	header  [HeaderSize]byte
	trailer [TrailerSize]byte
	parts   [3][]byte
}

// file and disk are the seam at which tests let the disk fail.
type file interface {
	writev(parts [][]byte) (int, error)
	truncate(size int64) error
	Close() error
}

type disk interface {
	open(path string) (file, error)
	remove(path string) error
}

// Open opens a log for appending; the folder is made if missing, its first file
// with the first data. An error leaves a Writer that works: it counts and tries
// again. It is nil only if the options are wrong.
func Open(options Options) (*Writer, error) {
	return open(options, osDisk{})
}

func open(options Options, d disk) (*Writer, error) {
	if options.Dir == "" {
		return nil, errors.New("cannot open log: no folder")
	}
	if options.MaxSize <= 0 {
		options.MaxSize = DefaultMaxSize
	}
	if options.MaxFiles <= 0 {
		options.MaxFiles = DefaultMaxFiles
	}
	w := &Writer{options: options, disk: d}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w, w.reopen(false)
}

// Write stores data of a stream at a time. The error says why data was lost,
// once it has been counted; the caller goes on.
func (w *Writer) Write(stream Stream, at time.Time, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var problems error
	for len(data) > 0 {
		part := w.part(data)
		data = data[len(part):]
		if err := w.store(stream, at, part); err != nil {
			problems = err
		}
	}
	return problems
}

// part is what of the data goes into one record: a file holds one at least, and
// as a rule it ends with a line.
func (w *Writer) part(data []byte) []byte {
	room := w.options.MaxSize - int64(len(Magic)+HeaderSize+TrailerSize)
	if limit := int(min(max(room, 1), MaxData)); len(data) > limit {
		data = data[:limit]
		if end := bytes.LastIndexByte(data, '\n'); end >= 0 {
			data = data[:end+1]
		}
	}
	return data
}

// skipMost is how many bytes behind a lost line's beginning are taken for its
// rest, which is lost with it.
const skipMost = 1 << 20

func (w *Writer) store(stream Stream, at time.Time, data []byte) error {
	if data = w.behindLost(stream, data); len(data) == 0 {
		return w.cause
	}
	if err := w.ready(at); err != nil {
		w.lose(stream, data, err)
		return err
	}
	if err := w.noteLoss(at); err != nil {
		w.lose(stream, data, err)
		return err
	}
	if err := w.append(stream, at, data); err != nil {
		w.lose(stream, data, err)
		return err
	}
	return nil
}

// ready makes sure that there is a file to append to.
func (w *Writer) ready(now time.Time) error {
	if w.file == nil {
		if now.Before(w.retry) {
			return w.cause
		}
		if err := w.reopen(true); err != nil {
			w.retry = now.Add(100 * time.Millisecond)
			return err
		}
	}
	if w.torn {
		if err := w.file.truncate(w.size); err != nil {
			return fmt.Errorf("cannot mend log: %w", err)
		}
		w.torn = false
	}
	return nil
}

// noteLoss writes the number of lines that were lost.
func (w *Writer) noteLoss(now time.Time) error {
	if w.lost == 0 {
		return nil
	}
	noun := "lines"
	if w.lost == 1 {
		noun = "line"
	}
	note := fmt.Appendf(nil, "%d %s lost: %v\n", w.lost, noun, w.cause)
	if err := w.append(Note, now, note); err != nil {
		return err
	}
	w.lost, w.cause = 0, nil
	return nil
}

// lose counts the lines of data. What follows cannot go on with a line that is
// not there: the rest of the last one is lost as well.
func (w *Writer) lose(stream Stream, data []byte, cause error) {
	w.lost += int64(bytes.Count(data, []byte("\n")))
	w.inLine[stream] = false
	if data[len(data)-1] != '\n' {
		w.lost++
		w.skip[stream] = skipMost
	}
	w.cause = cause
}

// behindLost is data without the rest of a line whose beginning was lost, and
// counted.
func (w *Writer) behindLost(stream Stream, data []byte) []byte {
	if w.skip[stream] == 0 {
		return data
	}
	end := bytes.IndexByte(data, '\n') + 1
	if end == 0 { // none
		end = min(len(data), w.skip[stream])
		w.skip[stream] -= end
		return data[end:]
	}
	w.skip[stream] = 0
	return data[end:]
}

// append writes one record, into the next file if this one is full.
func (w *Writer) append(stream Stream, at time.Time, data []byte) error {
	whole := int64(HeaderSize + len(data) + TrailerSize)
	if w.size > int64(len(Magic)) && w.size+whole > w.options.MaxSize {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	h := Header{Stream: stream, Time: at.UnixNano()}
	if w.inLine[stream] {
		h.Flags = FlagContinues
	}
	h.put(w.header[:], data)
	binary.LittleEndian.PutUint32(w.trailer[:], uint32(len(data)))
	w.parts = [3][]byte{w.header[:], data, w.trailer[:]}
	n, err := w.file.writev(w.parts[:])
	w.parts[1] = nil // the caller's
	if err != nil || int64(n) != whole {
		w.torn = n > 0
		if err == nil {
			err = unix.ENOSPC
		}
		if w.torn && w.file.truncate(w.size) == nil {
			w.torn = false
		}
		return fmt.Errorf("cannot write log: %w", err)
	}
	w.size += whole
	w.inLine[stream] = data[len(data)-1] != '\n'
	return nil
}

// rotate begins the next file; the old one is left only when the new one is
// there, so nothing is lost if it cannot be made.
func (w *Writer) rotate() error {
	next, err := w.create(w.number + 1)
	if err != nil {
		// Better too large than lost, as long as it is not the bound of
		// all files together.
		if w.size < w.options.MaxSize*int64(w.options.MaxFiles) {
			return nil
		}
		return err
	}
	err = w.file.Close()
	w.file, w.size, w.torn = next, int64(len(Magic)), false
	w.number++
	w.prune()
	if err != nil {
		return fmt.Errorf("cannot close log: %w", err)
	}
	return nil
}

func (w *Writer) create(number int) (file, error) {
	path := filepath.Join(w.options.Dir, FileName(number))
	f, err := w.disk.open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot make log: %w", err)
	}
	err = f.truncate(0)
	if err == nil {
		_, err = f.writev([][]byte{[]byte(Magic)})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make log: %w", err), f.Close(), w.disk.remove(path))
	}
	return f, nil
}

// prune deletes the files beyond the bound. A failure is tried again at the
// next rotation.
func (w *Writer) prune() {
	numbers, err := Numbers(w.options.Dir)
	if err != nil {
		return
	}
	for _, number := range numbers {
		if number <= w.number-w.options.MaxFiles {
			_ = w.disk.remove(filepath.Join(w.options.Dir, FileName(number)))
		}
	}
}

// reopen takes the folder's lock and opens its last file behind its last whole
// record. A first file is begun only if there is something for it.
func (w *Writer) reopen(first bool) error {
	err := w.tryReopen(first)
	if err != nil {
		w.cause = err
	}
	return err
}

func (w *Writer) tryReopen(first bool) error {
	if err := os.MkdirAll(w.options.Dir, 0o700); err != nil {
		return fmt.Errorf("cannot make log folder: %w", err)
	}
	if w.lock == nil {
		lock, err := lockFolder(w.options.Dir)
		if err != nil {
			return err
		}
		w.lock = lock
	}
	numbers, err := Numbers(w.options.Dir)
	if err != nil {
		return err
	}
	if len(numbers) == 0 && !first {
		return nil
	}
	if len(numbers) == 0 {
		return w.begin(1)
	}
	last := numbers[len(numbers)-1]
	path := filepath.Join(w.options.Dir, FileName(last))
	end, whole, err := findEnd(path)
	if err != nil {
		return err
	}
	if end == 0 { // not even the magic: a writer was killed while making it
		return w.begin(last)
	}
	f, err := w.disk.open(path)
	if err != nil {
		return fmt.Errorf("cannot open log: %w", err)
	}
	if !whole {
		if err := f.truncate(end); err != nil {
			return errors.Join(fmt.Errorf("cannot mend log: %w", err), f.Close())
		}
	}
	w.file, w.number, w.size, w.torn = f, last, end, false
	w.prune()
	return nil
}

func (w *Writer) begin(number int) error {
	f, err := w.create(number)
	if err != nil {
		return err
	}
	w.file, w.number, w.size, w.torn = f, number, int64(len(Magic)), false
	return nil
}

// NewRun says that what follows comes from another process: its first data
// begins a line.
func (w *Writer) NewRun() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inLine, w.skip = [Note + 1]bool{}, [Note + 1]int{}
}

// Flush tries to note what was lost.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == 0 {
		return nil
	}
	now := time.Now()
	w.retry = time.Time{}
	if err := w.ready(now); err != nil {
		return err
	}
	return w.noteLoss(now)
}

// Lost is the number of lines lost for which no note could be written yet.
func (w *Writer) Lost() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close tries to note a loss and closes the log.
func (w *Writer) Close() error {
	err := w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
		w.file = nil
	}
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
		w.lock = nil
	}
	if err != nil {
		return fmt.Errorf("cannot close log: %w", err)
	}
	return nil
}
