package read

import (
	"bytes"
	"time"

	"github.com/mycompose/mycompose/engine/logs"
)

// lines makes lines of records: pure but for its own memory.
type lines struct {
	// dropOrphans leaves out what goes on with a line whose beginning was
	// not read: reading began in the middle of the log.
	dropOrphans bool
	// blocks gives out all whole lines of a record at once.
	blocks bool

	// early: what is fed was written before what is asked for.
	early bool

	open [logs.Note + 1]unfinished

	header logs.Header // of data
	data   []byte      // what is left of the record
	fresh  bool        // nothing of the record has been looked at
	spill  []byte      // the joined line that was handed out last
}

// unfinished is a line without its newline yet.
type unfinished struct {
	there bool
	drop  bool // an orphan to be left out
	cut   bool // its beginning has been handed out
	early bool // it began before what is asked for
	time  int64
	data  []byte
}

// feed gives the next record. It may be called once next has returned false.
func (l *lines) feed(h logs.Header, data []byte) {
	l.header, l.data, l.fresh = h, data, true
}

// next returns the next line of what was fed.
func (l *lines) next() (Line, bool) {
	for len(l.data) > 0 {
		u := &l.open[l.header.Stream]
		if l.fresh {
			l.fresh = false
			continues := l.header.Flags&logs.FlagContinues != 0
			if !continues && u.there {
				if line, ok := l.finish(l.header.Stream, nil, true); ok {
					return line, true
				}
			}
			if continues && !u.there {
				*u = unfinished{there: true, drop: l.dropOrphans, early: l.early, time: l.header.Time, data: u.data[:0]}
			}
		}
		end := bytes.IndexByte(l.data, '\n')
		if end < 0 {
			if line, ok := l.keep(u); ok {
				return line, true
			}
			continue
		}
		if l.blocks && !u.there {
			end = bytes.LastIndexByte(l.data, '\n')
		}
		part := l.data[:end]
		l.data = l.data[end+1:]
		if !u.there {
			return Line{Time: time.Unix(0, l.header.Time), Stream: l.header.Stream, Data: part, early: l.early}, true
		}
		if line, ok := l.finish(l.header.Stream, part, false); ok {
			return line, true
		}
	}
	return Line{}, false
}

// keep takes the rest of the record into the unfinished line; a line that grows
// beyond MaxLine is handed out in pieces.
func (l *lines) keep(u *unfinished) (Line, bool) {
	if !u.there {
		*u = unfinished{there: true, early: l.early, time: l.header.Time, data: u.data[:0]}
	}
	if u.drop {
		l.data = nil
		return Line{}, false
	}
	room := MaxLine - len(u.data)
	take := min(room, len(l.data))
	u.data = append(u.data, l.data[:take]...)
	l.data = l.data[take:]
	if len(u.data) < MaxLine {
		return Line{}, false
	}
	line := Line{Time: time.Unix(0, u.time), Stream: l.header.Stream, Partial: true, Cut: true, early: u.early}
	u.cut = true
	l.spill = append(l.spill[:0], u.data...)
	line.Data = l.spill
	u.data = u.data[:0]
	return line, true
}

// finish ends the unfinished line of a stream with part.
func (l *lines) finish(stream logs.Stream, part []byte, partial bool) (Line, bool) {
	u := &l.open[stream]
	drop, at, early := u.drop, u.time, u.early
	u.data, l.spill = l.spill[:0], append(u.data, part...) // the buffers change places
	cut := u.cut
	u.there, u.drop, u.cut = false, false, false
	if drop || partial && len(l.spill) == 0 && !cut {
		return Line{}, false
	}
	return Line{Time: time.Unix(0, at), Stream: stream, Data: l.spill, Partial: partial, early: early}, true
}

// flush ends the earliest unfinished line: there is no more.
func (l *lines) flush() (Line, bool) {
	for {
		first := logs.Stream(0)
		for s := logs.Stdout; s <= logs.Note; s++ {
			if l.open[s].there && (first == 0 || l.open[s].time < l.open[first].time) {
				first = s
			}
		}
		if first == 0 {
			return Line{}, false
		}
		if line, ok := l.finish(first, nil, true); ok {
			return line, true
		}
	}
}

func (l *lines) unfinished() bool {
	for _, u := range l.open {
		if u.there {
			return true
		}
	}
	return false
}
