package cli

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
)

// throughTo reports whether what is to be written to a file goes through what is
// there: a device, a pipe, or a link, as /dev/stdout is one. A regular file is
// replaced by another when that is whole; to replace these would take /dev/null from
// the machine.
func throughTo(name string) bool {
	info, err := os.Lstat(name)
	if err != nil || info.Mode().IsRegular() {
		return false
	}
	to, err := os.Stat(name)
	return err != nil || !to.IsDir() // a link to nothing: what it leads to is made
}

// writeThrough writes all of from to what is there.
func writeThrough(name string, from io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	_, err = io.Copy(f, from)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", name, err)
	}
	return nil
}

// writeContentThrough does so with the one file of an archive.
func writeContentThrough(name, source string, archive io.Reader) error {
	content := tar.NewReader(archive)
	header, err := content.Next()
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", source, err)
	}
	if header.Typeflag != tar.TypeReg {
		return fmt.Errorf("cannot copy %s to %s: what is there takes the content of a regular file, which this is not", source, name)
	}
	return writeThrough(name, content)
}
