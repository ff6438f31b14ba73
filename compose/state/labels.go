package state

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mycompose/mycompose/compose/model"
)

// The labels that docker compose writes and other tools read
// (docker/compose pkg/api/labels.go).
const (
	LabelProject     = "com.docker.compose.project"
	LabelService     = "com.docker.compose.service"
	LabelNumber      = "com.docker.compose.container-number"
	LabelOneOff      = "com.docker.compose.oneoff"
	LabelSlug        = "com.docker.compose.slug"
	LabelHash        = "com.docker.compose.config-hash"
	LabelDependsOn   = "com.docker.compose.depends_on"
	LabelImage       = "com.docker.compose.image"
	LabelConfigFiles = "com.docker.compose.project.config_files"
	LabelWorkingDir  = "com.docker.compose.project.working_dir"
	LabelVersion     = "com.docker.compose.version"
	LabelReplace     = "com.docker.compose.replace"
	LabelNetwork     = "com.docker.compose.network"
	LabelVolume      = "com.docker.compose.volume"
)

// LabelRemove marks a one-off container that goes when it has ended (run --rm).
const LabelRemove = "mycompose.remove-on-exit"

// LabelCause says why a container was made, in a user's words, for `explain`.
const LabelCause = "mycompose.cause"

const labelPrefix = "com.docker.compose."

// UserLabels returns the labels without those that compose itself writes.
func UserLabels(labels map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range labels {
		if !strings.HasPrefix(key, labelPrefix) && key != LabelCause {
			out[key] = value
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// dependsLabel is the value of LabelDependsOn: "db:service_started:true", name,
// condition and restart, commas between.
func dependsLabel(depends []model.Dependency) string {
	words := make([]string, len(depends))
	for i, d := range depends {
		words[i] = d.Service + ":" + string(d.Condition) + ":" + strconv.FormatBool(d.Restart)
	}
	return strings.Join(words, ",")
}

// parseDepends reads LabelDependsOn. What it cannot read it leaves out; every
// dependency counts as required.
func parseDepends(label string) []model.Dependency {
	var out []model.Dependency
	for word := range strings.SplitSeq(label, ",") {
		parts := strings.Split(word, ":")
		if parts[0] == "" {
			continue
		}
		d := model.Dependency{Service: parts[0], Condition: model.Started, Required: true}
		if len(parts) > 1 {
			d.Condition = model.Condition(parts[1])
		}
		if len(parts) > 2 {
			d.Restart = parts[2] == "true"
		}
		out = append(out, d)
	}
	return out
}

func withLabels(labels map[string]string, more map[string]string) map[string]string {
	out := make(map[string]string, len(labels)+len(more))
	maps.Copy(out, labels)
	maps.Copy(out, more)
	return out
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
