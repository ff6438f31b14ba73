package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// place is a path on one side of a copy and what is there.
type place struct {
	path    string // as it was written
	exists  bool
	isDir   bool // or a link to one
	service string
}

// landing is where a copy goes: into a folder that is there, under a name.
type landing struct {
	folder, name string
	// content: the entries of the source, not the source itself.
	content bool
}

// landingOf decides as docker cp does (its section "Description"). The rules:
//
//	source   destination        result
//	file     missing            is made with that name; "x/" is an error
//	file     file               is replaced
//	file     folder             goes into it
//	folder   missing            is made with the source's content
//	folder   file               error
//	folder   folder             goes into it; with "/." at the source's end only its content
func landingOf(from, to place) (landing, error) {
	contentOnly := from.isDir && (strings.HasSuffix(from.path, "/.") || from.path == ".")
	base := path.Base(path.Clean("/" + filepath.ToSlash(from.path)))
	if from.path == "." || strings.HasSuffix(from.path, "..") {
		if absolute, err := filepath.Abs(from.path); err == nil && from.service == "" {
			base = filepath.Base(absolute)
		}
	}
	clean := path.Clean(to.path)
	switch {
	case to.exists && to.isDir && contentOnly, to.exists && to.isDir && base == "/":
		return landing{folder: clean, content: true}, nil
	case to.exists && to.isDir:
		return landing{folder: clean, name: base}, nil
	case to.exists && from.isDir:
		return landing{}, fmt.Errorf("cannot copy directory %s onto the file %s", from.path, to.path)
	case to.exists && (strings.HasSuffix(to.path, "/") || strings.HasSuffix(to.path, "/.")):
		return landing{}, fmt.Errorf("cannot copy to %s: not a directory", to.path)
	case !to.exists && !from.isDir && strings.HasSuffix(to.path, "/"):
		return landing{}, fmt.Errorf("cannot copy to %s: no such directory", to.path)
	}
	return landing{folder: path.Dir(clean), name: path.Base(clean)}, nil
}

// localPlace looks at a path of this machine; follow looks through a link at its
// end, as for a destination.
func localPlace(name string, follow bool) (place, error) {
	p := place{path: name}
	stat := os.Lstat
	if follow || strings.HasSuffix(name, "/") || strings.HasSuffix(name, "/.") {
		stat = os.Stat
	}
	info, err := stat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.exists, p.isDir = true, info.IsDir()
	return p, nil
}

// splitService parts SERVICE:PATH. What begins with / or . is a path of this
// machine, whatever it holds.
func splitService(argument string) (service, name string) {
	if strings.HasPrefix(argument, "/") || strings.HasPrefix(argument, ".") {
		return "", argument
	}
	before, after, found := strings.Cut(argument, ":")
	if !found {
		return "", argument
	}
	return before, after
}

// renamed gives an entry of an archive whose top is called top the name that it
// gets where it lands; "" leaves it out.
func (l landing) renamed(entry, top string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(entry, "./"), top)
	if l.content {
		return strings.TrimPrefix(rest, "/")
	}
	return l.name + rest
}
