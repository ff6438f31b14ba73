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
}

// The kinds of the tree. Rooms may declare further ones, drawn in the package's
// documentation.
var (
	Container       = Kind{"container", "containers", "container.json", 1}
	ContainerStatus = Kind{"container status", "containers", "status.json", 1}
	Image           = Kind{"image", "images", "", 1}
	Network         = Kind{"network", "networks", "network.json", 1}
	Volume          = Kind{"volume", "volumes", "volume.json", 1}
	Project         = Kind{"project", "projects", "project.json", 1}
)

// Operation are the operations of one project.
func Operation(project string) Kind {
	return Kind{"operation", "projects/" + project + "/operations", "", 1}
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
