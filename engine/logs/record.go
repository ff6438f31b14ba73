package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"

	"os"
)

// Stream says where data came from.
type Stream byte

const (
	Stdout Stream = 1
	Stderr Stream = 2
	// Note is the monitor's own: "12 lines lost: no space left on device".
	Note Stream = 3
)

const (
	// Magic begins every file; its last byte is the format's number.
	Magic = "mclogs\x00\x01"
	// MaxData is the largest record's data in bytes.
	MaxData = 1 << 20
	// HeaderSize and TrailerSize surround the data of a record, in bytes.
	HeaderSize  = 20
	TrailerSize = 4

	// FlagContinues: see the package's documentation.
	FlagContinues = 1

	suffix = ".log"
)

// Header is the part of a record before its data.
type Header struct {
	Size   int // of the data, bytes
	Stream Stream
	Flags  byte
	Time   int64 // Unix nanoseconds
	sum    uint32
}

// ErrBadRecord: these bytes are no record.
var ErrBadRecord = errors.New("bad record")

// put writes the header for data into b, which has HeaderSize bytes.
func (h Header) put(b, data []byte) {
	binary.LittleEndian.PutUint32(b, uint32(len(data)))
	b[4], b[5], b[6], b[7] = byte(h.Stream), h.Flags, 0, 0
	binary.LittleEndian.PutUint64(b[8:], uint64(h.Time))
	binary.LittleEndian.PutUint32(b[16:], sum(b, data))
}

func sum(header, data []byte) uint32 {
	// Made at the first call, not while a program starts that may log nothing.
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(header[:16], castagnoli), castagnoli, data)
}

// ParseHeader reads HeaderSize bytes.
func ParseHeader(b []byte) (Header, error) {
	h := Header{
		Size:   int(binary.LittleEndian.Uint32(b)),
		Stream: Stream(b[4]),
		Flags:  b[5],
		Time:   int64(binary.LittleEndian.Uint64(b[8:])),
		sum:    binary.LittleEndian.Uint32(b[16:]),
	}
	if h.Size < 1 || h.Size > MaxData || h.Stream < Stdout || h.Stream > Note {
		return Header{}, ErrBadRecord
	}
	return h, nil
}

// Check compares the record's bytes, header, data and trailer, with its sums.
func Check(record []byte) error {
	n := len(record) - HeaderSize - TrailerSize
	if n < 1 || int(binary.LittleEndian.Uint32(record)) != n ||
		int(binary.LittleEndian.Uint32(record[HeaderSize+n:])) != n ||
		binary.LittleEndian.Uint32(record[16:]) != sum(record, record[HeaderSize:HeaderSize+n]) {
		return ErrBadRecord
	}
	return nil
}

// FileName is the name of the file with this number, from 1.
func FileName(number int) string { return fmt.Sprintf("%08d%s", number, suffix) }

// Numbers lists the numbers of a log folder's files, ascending.
func Numbers(dir string) ([]int, error) {
	names, err := readNames(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list log %s: %w", filepath.Base(dir), err)
	}
	var numbers []int
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, suffix)
		number, err := strconv.Atoi(digits)
		if ok && err == nil && number > 0 {
			numbers = insert(numbers, number)
		}
	}
	return numbers, nil
}

// readNames is os.ReadDir without its sorting, which weighs 7 KB in the small
// program; that of numbers weighs 6 KB more, and there are a few.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// insert puts a number into ascending ones.
func insert(numbers []int, number int) []int {
	numbers = append(numbers, number)
	for i := len(numbers) - 1; i > 0 && numbers[i-1] > number; i-- {
		numbers[i-1], numbers[i] = number, numbers[i-1]
	}
	return numbers
}
