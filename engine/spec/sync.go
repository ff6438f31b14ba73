package spec

// FileChange is one file, link or folder of this host to be put into a
// container's file system, or one path to be taken away there. It may be
// applied to containers in every state.
type FileChange struct {
	// Target is the absolute path in the container.
	Target string `json:"target"`
	// Root is an absolute folder of this host, Path what is put, below it;
	// no link on the way from Root to Path is followed, and Path itself is put
	// as what it is: a regular file with mode and time, a link, a folder.
	Root string `json:"root,omitempty"`
	Path string `json:"path,omitempty"`
	// Remove takes Target away: a file or link, a folder only if it is empty.
	// One that is not there is success.
	Remove bool `json:"remove,omitempty"`
	// Digest restricts Remove to a file with that content: 64 hex digits of
	// the SHA-256, or "link:" and where a link leads. Empty is any.
	Digest string `json:"digest,omitempty"`
	// Compare leaves a file alone that has the same content already.
	Compare bool `json:"compare,omitempty"`
}

// FileResult is what became of one FileChange.
type FileResult struct {
	// Changed: the container's file system is another one now.
	Changed bool `json:"changed,omitempty"`
	// Error is empty on success.
	Error string `json:"error,omitempty"`
	// Gone: the source was not there any more. It is no error.
	Gone bool `json:"gone,omitempty"`
	// Later: the target is memory that a stopped container does not have
	// (tmpfs); do it again once it runs.
	Later bool `json:"later,omitempty"`
	// Volatile: the target is memory, and gone once the container has ended.
	Volatile bool `json:"volatile,omitempty"`
}
