// Command pack compresses the builder program for cmd/parts to embed. It is
// run by `make build` and does nothing when the result is newer than its input.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: pack INPUT OUTPUT.zst")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintf(os.Stderr, "cannot pack %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

func pack(input, output string) error {
	in, err := os.Open(input)
	if err != nil {
		return err
	}
	defer in.Close()
	if fresh(in, output) {
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(output), ".pack-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	encoder, err := zstd.NewWriter(temporary, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	if _, err := io.Copy(encoder, in); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), output)
}

// fresh reports whether output was made after in last changed.
func fresh(in *os.File, output string) bool {
	source, err := in.Stat()
	if err != nil {
		return false
	}
	result, err := os.Stat(output)
	return err == nil && result.ModTime().After(source.ModTime())
}
