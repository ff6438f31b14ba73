// Package logs writes the log of one replica: what its containers wrote to
// stdout and stderr, stored as read, with nanosecond time, in files of bounded
// size. The monitor is its only writer; package logs/read reads.
//
// A log folder holds files 00000001.log, 00000002.log, …; the highest is
// written, the lowest is deleted when there are more than the bound. Nothing
// is renamed, so a reader goes from a number to the next. The log is appended
// to over restarts and recreates; the writer holds a flock on the folder.
//
// A file is the 8 bytes of Magic, then records, little endian:
//
//	4  length n of the data, 1 … MaxData
//	1  stream: 1 stdout, 2 stderr, 3 a note of the monitor's own
//	1  flags: 1 = the data goes on with the line that the last record of
//	          this stream left without its newline
//	2  0
//	8  time, Unix nanoseconds
//	4  CRC-32C of the 16 bytes above and the data
//	n  data: as read, any number of lines and parts of lines
//	4  n again, for reading backwards
//
// A record lies in one file as a whole. What follows the last whole record is
// what a killed writer left: readers wait there, the next writer cuts it off.
// Times never decrease within a file by more than the clock does.
//
// The package is reached by the small program: it stays free of net, log/slog
// and os/exec.
package logs
