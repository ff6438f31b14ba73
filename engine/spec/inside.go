package spec

import "time"

// Process is one process of a container, as the machine counts it.
type Process struct {
	PID       int           `json:"pid"` // in the daemon's pid namespace
	Parent    int           `json:"parent"`
	UID       int           `json:"uid"`
	StartedAt time.Time     `json:"startedAt"`
	CPU       time.Duration `json:"cpu"`                // user and system
	Terminal  string        `json:"terminal,omitempty"` // "pts/0"
	// Command is its arguments, or its short name in brackets.
	Command []string `json:"command"`
}

// Stats is what a container uses.
type Stats struct {
	Time        time.Time     `json:"time"` // when it was read
	CPU         time.Duration `json:"cpu"`  // of all processors, since its start
	Memory      int64         `json:"memory"`
	MemoryLimit int64         `json:"memoryLimit"` // bytes; the machine's without one
	Received    int64         `json:"received"`    // bytes over its network
	Sent        int64         `json:"sent"`
	Read        int64         `json:"read"` // bytes of block devices
	Written     int64         `json:"written"`
	Processes   int64         `json:"processes"` // threads too
}

// FileInfo describes a file of a container.
type FileInfo struct {
	Name string `json:"name"` // its last element
	// Mode is st_mode, inode(7).
	Mode uint32 `json:"mode"`
	Size int64  `json:"size"`
	// Directory: it is one, or a link that leads to one.
	Directory bool `json:"directory,omitempty"`
}
