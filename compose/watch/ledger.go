package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Kind is what stands at a path.
type Kind string

// The kinds. Sockets, pipes and devices are no files of a project.
const (
	Regular Kind = "file"
	Link    Kind = "link"
	Folder  Kind = "folder"
	Gone    Kind = "gone"
)

// File is what a path of this host was when it was looked at.
type File struct {
	Kind Kind `json:"kind"`
	// Mode is the permission bits.
	Mode uint32 `json:"mode,omitempty"`
	// Digest is the SHA-256 of the content, or "link:" and where a link leads.
	// Of one that is gone it is that of what stood there last.
	Digest string `json:"digest,omitempty"`
	// Size in bytes, Inode, ModTime and ChangeTime (nanoseconds since 1970)
	// save reading it again.
	Size       int64  `json:"size,omitempty"`
	Inode      uint64 `json:"inode,omitempty"`
	ModTime    int64  `json:"modTime,omitempty"`
	ChangeTime int64  `json:"changeTime,omitempty"`
}

// Identity names what containers see of it: two files of one identity are the
// same there.
func (f File) Identity() string {
	switch f.Kind {
	case Regular:
		return "file " + strconv.FormatUint(uint64(f.Mode), 8) + " " + f.Digest
	case Link:
		return f.Digest
	case Folder:
		return "folder" // its permissions are set once
	}
	return string(Gone)
}

// Ledger is what is known of a project's files and containers. Every state of it
// that is kept is one to go on from.
type Ledger struct {
	// Files are all that rules concern themselves with, by path.
	Files map[string]File `json:"files"`
	// Rules are those that Files were looked at for, by Rule.key.
	Rules map[string]bool `json:"rules"`
	// Services by name.
	Services map[string]*ServiceLedger `json:"services"`
}

// ServiceLedger is what is known of one service's containers.
type ServiceLedger struct {
	// Changed are the paths that differ from when the watching began: what
	// every container has to have, a fresh one too.
	Changed map[string]bool `json:"changed,omitempty"`
	// Owed are actions that were decided on and not done yet.
	Owed map[string]bool `json:"owed,omitempty"`
	// Containers says by id what was put where: target → Identity, behind
	// inMemory if it goes with the container's end.
	Containers map[string]map[string]string `json:"containers,omitempty"`
}

// inMemory begins the identity of what lies in a container's memory (tmpfs).
const inMemory = "memory "

// NewLedger knows nothing.
func NewLedger() *Ledger {
	return (&Ledger{}).whole()
}

// whole has all maps, also after it was read.
func (l *Ledger) whole() *Ledger {
	if l.Files == nil {
		l.Files = map[string]File{}
	}
	if l.Rules == nil {
		l.Rules = map[string]bool{}
	}
	if l.Services == nil {
		l.Services = map[string]*ServiceLedger{}
	}
	return l
}

// clone is a copy that changes no more.
func (l *Ledger) clone() *Ledger {
	c := &Ledger{Files: maps.Clone(l.Files), Rules: maps.Clone(l.Rules), Services: map[string]*ServiceLedger{}}
	for name, s := range l.Services {
		containers := map[string]map[string]string{}
		for id, placed := range s.Containers {
			containers[id] = maps.Clone(placed)
		}
		c.Services[name] = &ServiceLedger{maps.Clone(s.Changed), maps.Clone(s.Owed), containers}
	}
	return c
}

// service returns what is known of a service.
func (l *Ledger) service(name string) *ServiceLedger {
	s := l.Services[name]
	if s == nil {
		s = &ServiceLedger{}
		l.Services[name] = s
	}
	if s.Changed == nil {
		s.Changed = map[string]bool{}
	}
	if s.Owed == nil {
		s.Owed = map[string]bool{}
	}
	if s.Containers == nil {
		s.Containers = map[string]map[string]string{}
	}
	return s
}

// fresh is how young a change may be for the file's times not to be trusted: a
// second one in the same tick of the clock would not show.
const fresh = int64(time.Second)

// look says what stands at a path. If trust is set, a file whose times and size
// are those that are known is not read again. What is no file of a project is
// Gone.
func look(path string, known File, trust bool) (File, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return gone(known), nil
	case err != nil:
		return File{}, fmt.Errorf("cannot look at %s: %w", path, err)
	}
	f := File{
		Mode: st.Mode & 0o777, Size: st.Size, Inode: st.Ino,
		ModTime: st.Mtim.Nano(), ChangeTime: st.Ctim.Nano(),
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		return File{Kind: Folder, Mode: f.Mode, Inode: f.Inode}, nil
	case syscall.S_IFLNK:
		leads, err := os.Readlink(path)
		if err != nil {
			return File{}, fmt.Errorf("cannot look at %s: %w", path, err)
		}
		f.Kind, f.Mode, f.Digest = Link, 0, "link:"+leads
		return f, nil
	case syscall.S_IFREG:
		f.Kind = Regular
		f.Digest = known.Digest
		if trust && f == known {
			return f, nil
		}
		if time.Now().UnixNano()-f.ChangeTime < fresh {
			f.ChangeTime = 0
		}
		f.Digest, err = digest(path)
		if errors.Is(err, fs.ErrNotExist) {
			return gone(known), nil
		}
		return f, err
	}
	return gone(known), nil
}

// gone is what a file has become that is not there any more.
func gone(known File) File {
	f := File{Kind: Gone, Digest: known.Digest}
	if known.Kind == Folder {
		f.Digest = string(Folder)
	}
	return f
}

// folder reports whether it is or was one.
func (f File) folder() bool {
	return f.Kind == Folder || f.Kind == Gone && f.Digest == string(Folder)
}

func digest(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("cannot read: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
