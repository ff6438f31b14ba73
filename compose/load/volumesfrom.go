package load

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

const volumesFromForms = "write a service or container:<name>, with :ro for read-only"

// checkVolumesFrom checks an entry of volumes_from.
func checkVolumesFrom(text string) (wrong, right string) {
	rest, _ := strings.CutPrefix(text, types.ContainerPrefix)
	name, access, given := strings.Cut(rest, ":")
	switch {
	case name == "":
		return fmt.Sprintf("%q names nobody", text), volumesFromForms
	case given && access != "ro" && access != "rw":
		return fmt.Sprintf("unknown option %q", access), volumesFromForms
	}
	return "", ""
}

func volumesFrom(list []string) []model.VolumesFrom {
	var out []model.VolumesFrom
	for _, text := range list {
		rest, foreign := strings.CutPrefix(text, types.ContainerPrefix)
		name, access, _ := strings.Cut(rest, ":")
		from := model.VolumesFrom{Service: name, ReadOnly: access == "ro"}
		if foreign {
			from.Service, from.Container = "", name
		}
		out = append(out, from)
	}
	return out
}

// takesVolumesFrom reports whether volumes_from names a service.
func takesVolumesFrom(s types.ServiceConfig, service string) bool {
	for _, from := range volumesFrom(s.VolumesFrom) {
		if from.Service == service {
			return true
		}
	}
	return false
}
