package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Reader reads one log folder; it is used by one goroutine.
type Reader struct {
	options Options
	records records
	lines   lines
	watch   *watch // nil: not following
	skip    int    // lines before the tail
	since   bool   // what Since asks for has begun
	ended   bool   // no more records are taken
	ending  bool   // Done is closed: one more look, then ended
}

func open(dir string, options Options) (*Reader, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("not a folder")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open log: %w", err)
	}
	r := &Reader{options: options, records: records{dir: dir}, since: options.Since.IsZero()}
	if options.Follow {
		// Before the first look, so that nothing falls between.
		if r.watch, err = newWatch(dir); err != nil {
			return nil, err
		}
	}
	if err := r.seek(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// seek finds where to begin.
func (r *Reader) seek() error {
	if r.options.Tail == All {
		number, err := firstSince(r.records.dir, r.options.Since)
		r.records.at.number = number
		r.lines.dropOrphans = number > 0
		return err
	}
	start, end, first, err := seekTail(r.records.dir, r.options.Tail)
	if err != nil {
		return err
	}
	r.records.at = start
	r.lines.dropOrphans = !first
	if r.options.Tail == None {
		r.lines.dropOrphans = true
		return nil
	}
	total, err := countLines(r.records.dir, start, end, r.lines.dropOrphans)
	r.skip = max(total-r.options.Tail, 0)
	return err
}

func (r *Reader) next(ctx context.Context) (Line, error) {
	for {
		r.lines.blocks = r.options.Blocks && r.skip == 0
		if line, ok := r.lines.next(); ok {
			if r.wanted(line) {
				return line, nil
			}
			continue
		}
		if r.ended {
			if line, ok := r.lines.flush(); ok {
				if r.wanted(line) {
					return line, nil
				}
				continue
			}
			return Line{}, io.EOF
		}
		if err := r.more(ctx); err != nil {
			return Line{}, err
		}
	}
}

// more feeds the next record, or waits for one, or finds that there is none.
func (r *Reader) more(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot read log: %w", err)
	}
	h, data, err := r.records.next()
	if err == nil {
		until := r.options.Until
		if !until.IsZero() && h.Time > until.UnixNano() && !r.lines.unfinished() {
			r.ended = true
			return nil
		}
		r.since = r.since || h.Time >= r.options.Since.UnixNano()
		r.lines.early = !r.since
		r.lines.feed(h, data)
		return nil
	}
	if !errors.Is(err, errWait) {
		return err
	}
	if r.watch == nil || r.ending {
		r.ended = true
		return nil
	}
	r.since = r.since || !r.options.Since.After(time.Now())
	if r.records.gone() {
		r.ending = true
		return nil
	}
	r.ending, err = r.watch.wait(ctx, r.options.Done, r.options.Until)
	return err
}

func (r *Reader) wanted(line Line) bool {
	if r.skip > 0 {
		r.skip--
		return false
	}
	if line.early {
		return false
	}
	return r.options.Until.IsZero() || !line.Time.After(r.options.Until)
}

func (r *Reader) close() error {
	err := r.records.close()
	if r.watch != nil {
		err = errors.Join(err, r.watch.close())
		r.watch = nil
	}
	return err
}

// countLines counts the lines between two positions.
func countLines(dir string, start, end position, dropOrphans bool) (int, error) {
	r := Reader{records: records{dir: dir, at: start}, lines: lines{dropOrphans: dropOrphans}}
	defer r.records.close()
	total := 0
	count := func(next func() (Line, bool)) {
		for _, ok := next(); ok; _, ok = next() {
			total++
		}
	}
	for r.records.at.before(end) {
		h, data, err := r.records.next()
		if errors.Is(err, errWait) || err == nil && end.before(r.records.at) {
			break
		}
		if err != nil {
			return 0, err
		}
		r.lines.feed(h, data)
		count(r.lines.next)
	}
	count(r.lines.flush)
	return total, nil
}

// firstSince returns the number of the file to begin with: the last one that
// can hold lines since then, 0 for the first.
func firstSince(dir string, since time.Time) (int, error) {
	if since.IsZero() {
		return 0, nil
	}
	return fileSince(dir, since.UnixNano())
}
