package store

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mycompose/mycompose/engine/folder"
)

// Kind is a place of objects in the state folder.
type Kind struct {
	// Word stands for the kind in errors: "container".
	Word string
	// Folder below the state folder, slashes between its elements.
	Folder string
	// File is the object's file in a folder of its own:
	// Folder/NAME/File. Empty: the object is Folder/NAME.json.
	File string
	// Version is the newest format that this program reads and the one
	// that it writes, from 1. Older ones are decoded as they are: formats
	// grow by fields that may be absent.
	Version int
	// Often: objects of this kind change often. A Put adds the object to the
	// end of its file, where the last whole one counts, and begins the file
	// anew when it has grown: that spares a new file each time.
	Often bool
}

// The kinds of the tree. Rooms may declare further ones, drawn in the package's
// documentation.
var (
	Container       = Kind{Word: "container", Folder: "containers", File: "container.json", Version: 1}
	ContainerStatus = Kind{Word: "container status", Folder: "containers", File: "status.json", Version: 1, Often: true}
	Image           = Kind{Word: "image", Folder: "images", Version: 1}
	Network         = Kind{Word: "network", Folder: "networks", File: "network.json", Version: 1}
	Volume          = Kind{Word: "volume", Folder: "volumes", File: "volume.json", Version: 1}
	Project         = Kind{Word: "project", Folder: "projects", File: "project.json", Version: 1}
)

// Operation are the operations of one project.
func Operation(project string) Kind {
	return Kind{Word: "operation", Folder: "projects/" + project + "/operations", Version: 1}
}

// path of the object below root.
func (k Kind) path(root, name string) (string, error) {
	if err := folder.CheckName(name); err != nil {
		return "", err
	}
	for element := range strings.SplitSeq(k.Folder, "/") {
		if err := folder.CheckName(element); err != nil {
			return "", fmt.Errorf("folder %q: %w", k.Folder, err)
		}
	}
	if k.File == "" {
		return filepath.Join(root, k.Folder, name+".json"), nil
	}
	return filepath.Join(root, k.Folder, name, k.File), nil
}
