package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/mycompose/mycompose/engine/spec"
)

// archiveType is the content type of tar streams.
const archiveType = "application/x-tar"

// StatFile describes a file of a container; spec.ErrNotFound if it is not there.
func (c *Client) StatFile(ctx context.Context, id, path string) (spec.FileInfo, error) {
	var out spec.FileInfo
	err := c.call(ctx, http.MethodGet, "/containers/"+id+"/file", url.Values{"path": {path}}, nil, &out)
	return out, err
}

// PackFiles opens a tar stream of what is at path in a container; follow takes
// in what a link leads to. A stream that breaks off ends with an error.
func (c *Client) PackFiles(ctx context.Context, id, path string, follow bool) (io.ReadCloser, error) {
	query := url.Values{"path": {path}}
	if follow {
		query.Set("follow", "1")
	}
	return c.archive(ctx, "/containers/"+id+"/archive", query)
}

// Export opens a tar stream of a container's root file system.
func (c *Client) Export(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.archive(ctx, "/containers/"+id+"/export", nil)
}

func (c *Client) archive(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	if err := c.Ready(ctx); err != nil {
		return nil, err
	}
	r, err := c.newRequest(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.do(r)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// UnpackFiles unpacks a tar stream into a folder of a container.
func (c *Client) UnpackFiles(ctx context.Context, id, folder string, from io.Reader) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	r, err := c.newRequest(ctx, http.MethodPost, "/containers/"+id+"/archive", url.Values{"path": {folder}}, nil)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(from)
	r.Header.Set("Content-Type", archiveType)
	answer, err := c.do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
