package model

import (
	"maps"
	"slices"
)

// Outline is what of a project's things is of one file. Two folders may give
// their projects one name.
type Outline struct {
	// Dir is the project's WorkingDir.
	Dir string `json:"dir"`
	// Services are sorted names, disabled ones included.
	Services []string `json:"services,omitempty"`
	// Volumes are the sorted names of the declared volumes but external ones.
	Volumes []string `json:"volumes,omitempty"`
	// Images are the references that enabled services run, and whether one is
	// built and has no name of the user's own.
	Images map[string]bool `json:"images,omitempty"`
}

// Outline returns the outline of a project.
func (p *Project) Outline() *Outline {
	o := &Outline{Dir: p.WorkingDir, Images: map[string]bool{}}
	o.Services = slices.AppendSeq(slices.Collect(maps.Keys(p.Services)), maps.Keys(p.Disabled))
	slices.Sort(o.Services)
	for _, v := range p.Volumes {
		if !v.External {
			o.Volumes = append(o.Volumes, v.Name)
		}
	}
	slices.Sort(o.Volumes)
	for _, s := range p.Services {
		name := p.ImageName(s)
		o.Images[name] = o.Images[name] || s.Build != nil && s.Image == ""
	}
	return o
}
