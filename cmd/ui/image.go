package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/spec"
)

// ImageInspect is an image as docker image inspect shows it.
type ImageInspect struct {
	ID           string   `json:"Id"`
	RepoTags     []string `json:"RepoTags"`
	RepoDigests  []string `json:"RepoDigests"`
	Created      string   `json:"Created,omitempty"`
	Author       string   `json:"Author,omitempty"`
	Architecture string
	Variant      string `json:"Variant,omitempty"`
	Os           string
	Size         int64
	// Config has the fields of Docker's, whatever the image says there.
	Config map[string]any
	RootFS ImageRootFS
	// Descriptor is the manifest.
	Descriptor map[string]any
}

// ImageRootFS are the layers of an image, by the digests of their tars.
type ImageRootFS struct {
	Type   string
	Layers []string
}

// imageFile is what the display needs of an OCI configuration.
type imageFile struct {
	ocispec.Image
	Config map[string]any `json:"config"`
}

func inspectedImage(d spec.ImageDetails) (ImageInspect, error) {
	var file imageFile
	if err := json.Unmarshal(d.OCI, &file); err != nil {
		return ImageInspect{}, fmt.Errorf("cannot read the configuration of image %s: %w", d.ID, err)
	}
	out := ImageInspect{
		ID: d.ID, RepoTags: orNone(d.Names), RepoDigests: orNone(d.RepoDigests), Author: file.Author,
		Architecture: file.Architecture, Variant: file.Variant, Os: file.OS, Size: d.Size, Config: file.Config,
		RootFS: ImageRootFS{Type: "layers", Layers: []string{}}, Descriptor: map[string]any{"digest": d.Digest},
	}
	if file.Created != nil {
		out.Created = file.Created.Format(time.RFC3339Nano)
	}
	for _, id := range file.RootFS.DiffIDs {
		out.RootFS.Layers = append(out.RootFS.Layers, string(id))
	}
	return out, nil
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ImageDetails shows inspected images, as one JSON array or by a template.
func (s *Screen) ImageDetails(list []spec.ImageDetails, format string) error {
	rows := []ImageInspect{}
	for _, d := range list {
		row, err := inspectedImage(d)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	data, err := json.MarshalIndent(rows, "", "    ")
	if err != nil {
		return fmt.Errorf("cannot write JSON: %w", err)
	}
	if format == "" || format == "json" {
		s.Println(string(data))
		return nil
	}
	// Templates name fields as the JSON does: {{.Id}}.
	var named []map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&named); err != nil {
		return fmt.Errorf("cannot read JSON: %w", err)
	}
	return s.List(Listing{Rows: boxed(named)}, format)
}

// ImageStep is one line of an image's history, the newest first.
type ImageStep struct {
	ID        string
	Created   time.Time
	CreatedBy string
	Comment   string
	Empty     bool // it made no layer
}

// ImageHistory shows how an image came to be.
func (s *Screen) ImageHistory(d spec.ImageDetails, format string, whole bool) error {
	var file imageFile
	if err := json.Unmarshal(d.OCI, &file); err != nil {
		return fmt.Errorf("cannot read the configuration of image %s: %w", d.ID, err)
	}
	var rows []ImageStep
	for i := len(file.History) - 1; i >= 0; i-- {
		h := file.History[i]
		row := ImageStep{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment, Empty: h.EmptyLayer}
		if len(rows) == 0 {
			row.ID = d.ID
		}
		if h.Created != nil {
			row.Created = *h.Created
		}
		rows = append(rows, row)
	}
	now := s.o.Now()
	return s.List(Listing{
		Columns: []string{"IMAGE", "CREATED", "CREATED BY", "LAYER", "COMMENT"}, MinWidth: 20, Array: true, Rows: boxed(rows),
		Cells: func(i int) []string {
			r := rows[i]
			id, by, created, layer := r.ID, strings.Join(strings.Fields(r.CreatedBy), " "), "N/A", "yes"
			if !whole {
				id = strings.TrimPrefix(id, "sha256:")
				id = id[:min(12, len(id))]
				if runes := []rune(by); len(runes) > 45 {
					by = string(runes[:44]) + "…"
				}
			}
			if !r.Created.IsZero() {
				created = ago(now.Sub(r.Created)) + " ago"
			}
			if r.Empty {
				layer = "no"
			}
			return []string{id, created, by, layer, r.Comment}
		},
	}, format)
}

// DeletedImage says what became of an image, as docker image rm does.
func (s *Screen) DeletedImage(d spec.Deleted) {
	for _, name := range d.Untagged {
		s.Println("Untagged: " + name)
	}
	if d.Digest != "" {
		s.Println("Deleted: " + d.Digest)
	}
}

// PrunedImages says what a prune took away.
func (s *Screen) PrunedImages(p spec.Pruned) {
	if len(p.Removed) > 0 {
		s.Println("Deleted Images:\n" + strings.Join(p.Removed, "\n") + "\n")
	}
	s.Println("Total reclaimed space: " + size(p.Bytes))
}
