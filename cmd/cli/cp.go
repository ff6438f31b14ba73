package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mycompose/mycompose/cmd/client"
	"github.com/mycompose/mycompose/engine/spec"
	"github.com/mycompose/mycompose/engine/tree"
)

// copyFlags are the flags of `cp`.
type copyFlags struct {
	archive, follow, all bool
	index                int
}

func copyCommand(s *session) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use: "cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n  mycompose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH", Short: "Copy files between this machine and containers",
		Long: `Copy files between this machine and the containers of a service, whether they run
or not. A copy to a service goes to all its replicas, one from it comes from the
first. - is a tar stream on standard input or output.`,
		Example: `  mycompose cp web:/etc/nginx/nginx.conf .
  mycompose cp ./site/. web:/usr/share/nginx/html
  mycompose cp db:/var/lib/postgresql/data - | gzip > data.tar.gz`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return runCopy(cmd, s, &f, args[0], args[1]) },
	}
	cmd.Flags().BoolVarP(&f.archive, "archive", "a", false, "Keep owners")
	cmd.Flags().BoolVarP(&f.follow, "follow-link", "L", false, "Copy what a link at SRC_PATH leads to")
	cmd.Flags().BoolVar(&f.all, "all", false, "Containers of run, too")
	cmd.Flags().IntVar(&f.index, "index", 0, "Number of the replica")
	return cmd
}

func runCopy(cmd *cobra.Command, s *session, f *copyFlags, from, to string) error {
	fromService, fromPath := splitService(from)
	toService, toPath := splitService(to)
	switch {
	case fromService != "" && toService != "":
		return errors.New("copying between services is not supported")
	case fromService == "" && toService == "":
		return errors.New("unknown copy direction: one side is SERVICE:PATH")
	case fromService != "" && fromPath == "" || toService != "" && toPath == "":
		return errors.New("cannot copy: the path of the service is empty")
	}
	service := orElse(fromService, toService)
	p, err := s.known(cmd.Context())
	if err != nil {
		return err
	}
	if err := p.check([]string{service}); err != nil {
		return err
	}
	all, err := s.containersAndOneOffs(cmd, p, []string{service}, func(c spec.Container) bool {
		return (f.all || !isOneOff(c)) && (f.index == 0 || c.Blueprint.Labels[labelNumber] == fmt.Sprint(f.index))
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return spec.Errorf(spec.ErrNotFound, "no container found for service %q", service)
	}
	c, err := s.dial(cmd.Context())
	if err != nil {
		return err
	}
	if fromService != "" {
		return s.copyOut(cmd.Context(), c, all[0], fromPath, toPath, f)
	}
	if fromPath == "-" && len(all) > 1 {
		return errors.New("cannot copy standard input to several replicas: name one by --index")
	}
	for _, container := range all {
		if err := s.copyIn(cmd.Context(), c, container, fromPath, toPath, f); err != nil {
			return err
		}
	}
	return nil
}

// told shows the progress of one copy around it.
func (s *session) told(container spec.Container, from, to string, do func() error) error {
	s.screen.Notice(fmt.Sprintf(" %s Copying %s to %s", container.Blueprint.Name, from, to))
	if err := do(); err != nil {
		return err
	}
	s.screen.Notice(fmt.Sprintf(" %s Copied %s to %s", container.Blueprint.Name, from, to))
	return nil
}

// copyOut copies from a container to this machine.
func (s *session) copyOut(ctx context.Context, c *client.Client, from spec.Container, source, target string, f *copyFlags) error {
	id := from.Blueprint.ID
	info, err := c.StatFile(ctx, id, source)
	if err != nil {
		return err
	}
	isLink := info.Mode&0o170000 == 0o120000
	whole := strings.HasSuffix(source, "/.") || strings.HasSuffix(source, "/")
	follow := f.follow || isLink && whole
	source = orElse(source, ".")
	if target == "-" {
		stream, err := c.PackFiles(ctx, id, source, follow)
		if err != nil {
			return err
		}
		defer stream.Close()
		_, err = io.Copy(s.screen, stream)
		return err
	}
	there, err := localPlace(absolute(s.process.Dir, target)+trailing(target), true)
	if err != nil {
		return err
	}
	lands, err := landingOf(place{path: source, exists: true, isDir: info.Directory && (!isLink || follow), service: "of it"}, there)
	if err != nil {
		return err
	}
	return s.told(from, from.Blueprint.Name+":"+source, target, func() error {
		stream, err := c.PackFiles(ctx, id, source, follow)
		if err != nil {
			return err
		}
		defer stream.Close()
		if name := path.Clean(there.path); there.exists && throughTo(name) {
			return writeContentThrough(name, from.Blueprint.Name+":"+source, stream)
		}
		return unpackHere(ctx, stream, lands, info.Name, f.archive)
	})
}

// trailing is what a cleaned path has lost of what the user wrote at its end.
func trailing(name string) string {
	for _, end := range []string{"/.", "/"} {
		if strings.HasSuffix(name, end) {
			return end
		}
	}
	return ""
}

// unpackHere unpacks an archive on this machine: what is made is ours, unless
// owners are kept.
func unpackHere(ctx context.Context, stream io.Reader, lands landing, top string, owners bool) error {
	root, err := tree.Open(lands.folder)
	if err != nil {
		return err
	}
	defer root.Close()
	uid, gid := os.Geteuid(), os.Getegid()
	if top == "/" {
		top = ""
	}
	_, err = tree.Untar(ctx, root.FD(), stream, tree.UntarOptions{Plain: true, Change: func(h *tar.Header) {
		h.Name = lands.renamed(h.Name, top)
		if h.Typeflag == tar.TypeLink {
			h.Linkname = lands.renamed(h.Linkname, top)
		}
		if !owners {
			h.Uid, h.Gid = uid, gid
		}
	}})
	return err
}

// copyIn copies from this machine to a container.
func (s *session) copyIn(ctx context.Context, c *client.Client, to spec.Container, source, target string, f *copyFlags) error {
	id := to.Blueprint.ID
	there := place{path: target}
	info, err := c.StatFile(ctx, id, target)
	switch {
	case err == nil:
		there.exists, there.isDir = true, info.Directory
	case !errors.Is(err, spec.ErrNotFound):
		return err
	}
	if source == "-" {
		if !there.isDir {
			return fmt.Errorf("destination %q must be a directory", to.Blueprint.Name+":"+target)
		}
		return c.UnpackFiles(ctx, id, target, s.process.Stdin)
	}
	whole := absolute(s.process.Dir, source)
	from, err := localPlace(whole+trailing(source), f.follow)
	if err != nil {
		return err
	}
	if !from.exists {
		return fmt.Errorf("cannot copy %s: no such file or directory", source)
	}
	lands, err := landingOf(from, there)
	if err != nil {
		return err
	}
	return s.told(to, source, to.Blueprint.Name+":"+target, func() error {
		root, err := tree.Open(filepath.Dir(whole))
		if err != nil {
			return err
		}
		defer root.Close()
		reader, writer := io.Pipe()
		packed := make(chan error, 1)
		go func() { // received below
			err := root.Tar(ctx, writer, path.Base(whole), s.packing(from, lands, f))
			writer.CloseWithError(err)
			packed <- err
		}()
		err = c.UnpackFiles(ctx, id, lands.folder, reader)
		reader.CloseWithError(errors.Join(err, io.ErrClosedPipe))
		if packErr := <-packed; packErr != nil && !errors.Is(packErr, io.ErrClosedPipe) && err == nil {
			err = packErr
		}
		return err
	})
}

// packing says how a copy to a container is packed: what is new there is root's,
// unless owners are kept.
func (s *session) packing(from place, lands landing, f *copyFlags) tree.TarOptions {
	o := tree.TarOptions{Follow: f.follow || slices.Contains([]string{"/", "/."}, trailing(from.path)), Top: lands.name}
	if lands.content {
		o.Top = "."
	}
	o.Change = func(h *tar.Header) {
		if !f.archive {
			h.Uid, h.Gid = 0, 0
		}
	}
	return o
}
