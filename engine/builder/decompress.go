package builder

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/ulikunitz/xz"

	"github.com/mycompose/mycompose/engine/image"
)

// maxWindow is the largest zstd window in bytes: what the zstd program itself
// accepts by default. A larger one is there to eat memory.
const maxWindow = 128 << 20

// Compressions as they are told apart by their first bytes.
const (
	plain    = ""
	gzipped  = "gzip"
	zstdized = "zstd"
)

// decompress returns the plain stream and how it was compressed. The first
// bytes decide, not the media type.
func decompress(r io.Reader) (io.ReadCloser, string, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	head, err := in.Peek(6)
	if err != nil && err != io.EOF {
		return nil, plain, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		return z, gzipped, err
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, plain, err
		}
		return z.IOReadCloser(), zstdized, nil
	case bytes.HasPrefix(head, xzMagic):
		return nil, plain, errors.New("a layer in xz compression is not supported: use gzip or zstd")
	case bytes.HasPrefix(head, bzip2Magic):
		return nil, plain, errors.New("a layer in bzip2 compression is not supported: use gzip or zstd")
	}
	return io.NopCloser(in), plain, nil
}

var (
	xzMagic    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	bzip2Magic = []byte("BZh")
)

// unwrap takes the compressions off that a file of the user may have and no
// layer has: xz and bzip2. Others are left as they are. An xz stream says
// itself how much memory it takes, up to 4 GiB: nothing from a registry comes
// here.
func unwrap(file io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(file, 256<<10)
	head, err := in.Peek(6)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case bytes.HasPrefix(head, xzMagic):
		return xz.NewReader(in)
	case bytes.HasPrefix(head, bzip2Magic):
		return bzip2.NewReader(in), nil
	}
	return in, nil
}

// hashReader passes a stream on and hashes it in a goroutine of its own, since
// inflating and hashing are the two halves of an unpack's CPU time.
type hashReader struct {
	in   io.Reader
	free chan []byte
	work chan []byte
	done chan struct{}
	sum  hash.Hash
}

func newHashReader(in io.Reader) *hashReader {
	const buffers = 8
	h := &hashReader{
		in:   in,
		free: make(chan []byte, buffers),
		work: make(chan []byte, buffers),
		done: make(chan struct{}),
		sum:  sha256.New(),
	}
	for range buffers {
		h.free <- nil // made at first use
	}
	go func() {
		defer close(h.done)
		for b := range h.work {
			h.sum.Write(b)
			h.free <- b
		}
	}()
	return h
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.in.Read(p)
	if n > 0 {
		b := <-h.free
		h.work <- append(b[:0], p[:n]...)
	}
	return n, err
}

// digest ends the hashing and returns the digest of what was read. It must be
// called once, also after an error.
func (h *hashReader) digest() digest.Digest {
	close(h.work)
	<-h.done
	return digest.NewDigest(digest.SHA256, h.sum)
}

// checkDiffID is the check that is never left out: the diff id is what layer
// folders are shared by.
func checkDiffID(got, want digest.Digest) error {
	if want != "" && got != want {
		return withCode(image.CodeDigest,
			fmt.Errorf("unpacked layer has digest %s, the image's configuration says %s", got, want))
	}
	return nil
}
