package ui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// Project is one row of ls.
type Project struct {
	Name        string
	Status      string
	ConfigFiles string
}

// ProjectStatus says how many containers are in which state: "exited(1),
// running(3)".
func ProjectStatus(states map[spec.State]int) string {
	var out []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		if states[state] > 0 {
			out = append(out, fmt.Sprintf("%s(%d)", state, states[state]))
		}
	}
	return strings.Join(out, ", ")
}

// Projects is ls.
func (s *Screen) Projects(projects []Project, format string) error {
	return s.List(Listing{
		Columns: []string{"NAME", "STATUS", "CONFIG FILES"}, MinWidth: 20, Array: true, Rows: boxed(projects),
		Cells: func(i int) []string {
			return []string{projects[i].Name, projects[i].Status, projects[i].ConfigFiles}
		},
	}, format)
}

// Variable is one row of config --variables.
type Variable struct {
	Name          string
	DefaultValue  string
	PresenceValue string
	Required      bool
}

// Variables is config --variables.
func (s *Screen) Variables(variables []Variable, format string) error {
	return s.List(Listing{
		Columns: []string{"NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"}, MinWidth: 20, Array: true, Rows: boxed(variables),
		Cells: func(i int) []string {
			v := variables[i]
			return []string{v.Name, strconv.FormatBool(v.Required), v.DefaultValue, v.PresenceValue}
		},
	}, format)
}

// Image is one row of image ls.
type Image struct {
	ID          string
	Repository  string
	Tag         string
	Platform    string
	Size        int64
	Created     time.Time
	LastTagTime time.Time `json:"-"`
}

// Images is image ls: one row per name, sorted.
func (s *Screen) Images(images []spec.Image, format string, whole bool) error {
	var rows []Image
	for _, i := range images {
		names := i.Names
		if len(names) == 0 {
			names = []string{"<none>"}
		}
		for _, name := range names {
			repository, tag := splitReference(name)
			rows = append(rows, Image{
				ID: i.Digest, Repository: repository, Tag: tag, Platform: i.OS + "/" + i.Architecture,
				Size: i.Size, Created: i.CreatedAt,
			})
		}
	}
	slices.SortFunc(rows, func(a, b Image) int {
		return strings.Compare(a.Repository+":"+a.Tag, b.Repository+":"+b.Tag)
	})
	now := s.o.Now()
	return s.List(Listing{
		Columns: []string{"REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED"}, MinWidth: 20, Array: true,
		Rows: boxed(rows),
		Cells: func(i int) []string {
			r := rows[i]
			id := strings.TrimPrefix(r.ID, "sha256:")
			created := "N/A"
			if !r.Created.IsZero() {
				created = ago(now.Sub(r.Created)) + " ago"
			}
			if !whole {
				id = id[:min(12, len(id))]
			}
			return []string{r.Repository, r.Tag, r.Platform, id, size(r.Size), created}
		},
	}, format)
}

// splitReference parts a reference into what a user calls repository and tag.
func splitReference(reference string) (repository, tag string) {
	name, digest, found := strings.Cut(reference, "@")
	if found {
		return name, "@" + digest
	}
	slash, colon := strings.LastIndex(name, "/"), strings.LastIndex(name, ":")
	if colon > slash {
		name, tag = name[:colon], name[colon+1:]
	} else if tag = "latest"; name == "<none>" {
		tag = "<none>"
	}
	name = strings.TrimPrefix(name, "docker.io/")
	return strings.TrimPrefix(name, "library/"), tag
}

// Volume is one row of volume ls.
type Volume struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string
}

// Volumes is volume ls.
func (s *Screen) Volumes(volumes []spec.Volume, format string) error {
	var rows []Volume
	for _, v := range volumes {
		driver := v.Driver
		if driver == "" {
			driver = "local"
		}
		rows = append(rows, Volume{
			Availability: "N/A", Driver: driver, Group: "N/A", Labels: labels(v.Labels), Links: "N/A",
			Mountpoint: v.Mountpoint, Name: v.Name, Scope: "local", Size: "N/A", Status: "N/A",
		})
	}
	return s.List(Listing{
		Columns: []string{"DRIVER", "VOLUME NAME"}, Rows: boxed(rows),
		Cells: func(i int) []string { return []string{rows[i].Driver, rows[i].Name} },
	}, format)
}

func boxed[T any](rows []T) []any {
	out := make([]any, len(rows))
	for i, r := range rows {
		out[i] = r
	}
	return out
}

// Pairs shows names and values in two aligned columns, for info.
func (s *Screen) Pairs(pairs [][2]string) {
	width := 0
	for _, p := range pairs {
		width = max(width, len(p[0]))
	}
	var out strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&out, "%s\n", strings.TrimRight(fmt.Sprintf("%-*s  %s", width+1, p[0]+":", p[1]), " "))
	}
	fmt.Fprint(s, out.String())
}
