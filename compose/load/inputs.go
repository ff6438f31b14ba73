package load

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Inputs is everything that a loaded project depended on. It is kept beside the
// project; as long as Unchanged says so, loading again gives the same project.
// Nothing in this file needs the parser.
type Inputs struct {
	// Salt makes the hashes of variables useless outside of this value.
	Salt string `json:"salt"`
	// Key is Options.Key of the load.
	Key string `json:"key"`
	// Files are all that were read, or looked for and not there, by path.
	Files map[string]FileState `json:"files"`
	// Variables are all names that were looked up in the environment, with a
	// salted hash of the value; "" for one that was not set.
	Variables map[string]string `json:"variables,omitempty"`
	// Stdin: a part came from standard input; then never unchanged.
	Stdin bool `json:"stdin,omitempty"`
}

// FileState is what one path was.
type FileState struct {
	// Digest is the SHA-256 of the content, "" for a path that was not there.
	Digest string `json:"digest,omitempty"`
	// Size, Inode, ModTime and ChangeTime (nanoseconds since 1970) save reading
	// it again; they are zero if the file was too fresh to trust its times.
	Size       int64  `json:"size,omitempty"`
	Inode      uint64 `json:"inode,omitempty"`
	ModTime    int64  `json:"mod_time,omitempty"`
	ChangeTime int64  `json:"change_time,omitempty"`
}

// fresh is how young a file may be for its times not to be trusted: a second
// write in the same tick of the clock would not show.
const fresh = 2 * time.Second

// Key identifies a request: folder, flags, COMPOSE_* variables and the binary.
// Inputs are kept under it.
func (o Options) Key() string {
	compose := map[string]string{}
	for name, value := range o.Env {
		if strings.HasPrefix(name, "COMPOSE_") {
			compose[name] = value
		}
	}
	// Plain strings and maps of them: this cannot fail.
	data, _ := json.Marshal(struct {
		Options
		Compose map[string]string `json:"compose"`
	}{o, compose})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Fingerprint names this very value: the CLI sends it in place of the project.
func (in *Inputs) Fingerprint() string {
	data, _ := json.Marshal(in)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Unchanged says whether loading with these options would read the same: same
// request, same files, same variables.
func (in *Inputs) Unchanged(opts Options) bool {
	if in == nil || in.Stdin || in.Key != opts.Key() {
		return false
	}
	for name, hash := range in.Variables {
		if in.hashVariable(opts.Env, name) != hash {
			return false
		}
	}
	for path, state := range in.Files {
		if !state.unchanged(path) {
			return false
		}
	}
	return true
}

// Paths returns the files that were read or looked for, sorted.
func (in *Inputs) Paths() []string {
	return slices.Sorted(maps.Keys(in.Files))
}

func (in *Inputs) hashVariable(env map[string]string, name string) string {
	value, ok := env[name]
	if !ok {
		return ""
	}
	sum := sha256.Sum256([]byte(in.Salt + "\x00" + name + "\x00" + value))
	return hex.EncodeToString(sum[:16])
}

func (s FileState) unchanged(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return s.Digest == ""
	}
	if s.Digest == "" {
		return false
	}
	now := times(info)
	if s.ModTime != 0 && now == (FileState{Size: s.Size, Inode: s.Inode, ModTime: s.ModTime, ChangeTime: s.ChangeTime}) {
		return true
	}
	return digestFile(path) == s.Digest
}

func times(info os.FileInfo) FileState {
	s := FileState{Size: info.Size(), ModTime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Inode = sys.Ino
		s.ChangeTime = sys.Ctim.Nano()
	}
	return s
}

func digestFile(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recorder fills Inputs while loading.
type recorder struct {
	in  Inputs
	env map[string]string
	now time.Time
}

func newRecorder(opts Options) *recorder {
	r := &recorder{
		in: Inputs{
			Salt:      rand.Text(),
			Key:       opts.Key(),
			Files:     map[string]FileState{},
			Variables: map[string]string{},
		},
		env: opts.Env,
		now: time.Now(),
	}
	r.variable("HOME") // for "~"
	return r
}

// read returns the content of a file and records it, or that it is missing.
func (r *recorder) read(path string) ([]byte, error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil {
		r.in.Files[path] = FileState{}
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		r.in.Files[path] = FileState{}
		return nil, err
	}
	sum := sha256.Sum256(data)
	state := FileState{}
	if r.now.Sub(info.ModTime()) > fresh {
		state = times(info)
	}
	state.Digest = hex.EncodeToString(sum[:])
	r.in.Files[path] = state
	return data, nil
}

// exists says whether a regular file is there, and records a missing one.
func (r *recorder) exists(path string) bool {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		r.in.Files[path] = FileState{}
		return false
	}
	return true
}

// variable records that a name was looked up.
func (r *recorder) variable(name string) {
	if _, ok := r.in.Variables[name]; !ok {
		r.in.Variables[name] = r.in.hashVariable(r.env, name)
	}
}

func (r *recorder) finish(opts Options) *Inputs {
	for _, f := range opts.Files {
		if f == "-" {
			r.in.Stdin = true
		}
	}
	return &r.in
}

// Needed returns the variables that a later load of the same project may look
// at: those looked up this time, and the COMPOSE_ ones. It holds their values;
// keep it as private as the environment itself.
func (in *Inputs) Needed(env map[string]string) map[string]string {
	needed := map[string]string{}
	for name, value := range env {
		if _, used := in.Variables[name]; used || strings.HasPrefix(name, "COMPOSE_") {
			needed[name] = value
		}
	}
	return needed
}
