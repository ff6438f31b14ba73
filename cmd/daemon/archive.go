package daemon

import (
	"io"
	"net/http"

	"github.com/mycompose/mycompose/engine/spec"
)

// archiveType is the content type of tar streams.
const archiveType = "application/x-tar"

// getFile describes a file of a container.
func (s *server) getFile(w http.ResponseWriter, r *http.Request) error {
	info, err := s.Archives.StatFile(r.Context(), r.PathValue("id"), r.URL.Query().Get("path"))
	if err != nil {
		return err
	}
	return answer(w, info)
}

// getArchive sends files of a container as a tar stream.
func (s *server) getArchive(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	return s.sendArchive(w, func(to io.Writer) error {
		return s.Archives.PackFiles(r.Context(), r.PathValue("id"), q.Get("path"), q.Get("follow") != "", to)
	})
}

// getExport sends the root file system of a container.
func (s *server) getExport(w http.ResponseWriter, r *http.Request) error {
	return s.sendArchive(w, func(to io.Writer) error {
		return s.Archives.ExportContainer(r.Context(), r.PathValue("id"), to)
	})
}

// sendArchive answers with what pack writes. An error before its first byte is
// an answer; a later one breaks the stream off, so that nobody takes it for
// whole.
func (s *server) sendArchive(w http.ResponseWriter, pack func(io.Writer) error) error {
	w.Header().Set("Content-Type", archiveType)
	counted := &counter{to: w}
	err := pack(counted)
	if err != nil && counted.written {
		s.log.Error("archive breaks off", "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

type counter struct {
	to      io.Writer
	written bool
}

func (c *counter) Write(p []byte) (int, error) {
	c.written = true
	return c.to.Write(p)
}

// putArchive unpacks a tar stream into a folder of a container.
func (s *server) putArchive(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Content-Type") != archiveType {
		return spec.Errorf(spec.ErrInvalid, "cannot unpack: the body is no %s", archiveType)
	}
	if err := s.Archives.UnpackFiles(r.Context(), r.PathValue("id"), r.URL.Query().Get("path"), r.Body); err != nil {
		return err
	}
	return answer(w, struct{}{})
}
