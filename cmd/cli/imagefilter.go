package cli

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mycompose/mycompose/engine/spec"
)

// filterImages keeps the images, and of those the names, that all filters of
// `image ls` are for.
func filterImages(images []spec.Image, filters []string) ([]spec.Image, error) {
	out := slices.Clone(images)
	for _, filter := range filters {
		key, value, _ := strings.Cut(filter, "=")
		keep, err := imageFilter(images, key, value)
		if err != nil {
			return nil, err
		}
		if key == "reference" {
			for i := range out {
				out[i].Names = slices.DeleteFunc(slices.Clone(out[i].Names), func(name string) bool { return !isNamed(name, value) })
			}
		}
		out = slices.DeleteFunc(out, func(i spec.Image) bool { return !keep(i) })
	}
	return out, nil
}

func imageFilter(all []spec.Image, key, value string) (func(spec.Image) bool, error) {
	switch key {
	case "dangling":
		yes, err := strconv.ParseBool(value)
		if err != nil {
			return nil, &unknownValue{fmt.Sprintf("invalid filter 'dangling=%s'", value), "it is true or false"}
		}
		return func(i spec.Image) bool { return (len(i.Names) == 0) == yes }, nil
	case "reference":
		if _, err := path.Match(value, ""); err != nil {
			return nil, &unknownValue{fmt.Sprintf("invalid filter 'reference=%s'", value), "write a name, with * for any letters"}
		}
		return func(i spec.Image) bool { return len(i.Names) > 0 }, nil
	case "label":
		return func(i spec.Image) bool { return spec.HasLabel(i.Config.Labels, value) }, nil
	case "before", "since":
		at := slices.IndexFunc(all, func(i spec.Image) bool {
			return strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), value) ||
				slices.ContainsFunc(i.Names, func(name string) bool { return isNamed(name, value) })
		})
		if at < 0 {
			return nil, spec.Errorf(spec.ErrImageMissing, "No such image: %s", value)
		}
		than := all[at].CreatedAt
		if key == "before" {
			return func(i spec.Image) bool { return i.CreatedAt.Before(than) }, nil
		}
		return func(i spec.Image) bool { return i.CreatedAt.After(than) }, nil
	}
	return nil, &unknownValue{fmt.Sprintf("invalid filter '%s'", key), "the filters are dangling, reference, label, before and since"}
}

// isNamed reports whether a pattern means an image's name: with its tag, or
// without.
func isNamed(name, pattern string) bool {
	repository := name
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		repository = name[:at]
	}
	whole, _ := path.Match(pattern, name)
	bare, _ := path.Match(pattern, repository)
	return whole || bare
}

// pruneFilter adds a filter of `image prune`.
func pruneFilter(into *spec.Prune, filter string, now time.Time) error {
	key, value, _ := strings.Cut(filter, "=")
	var err error
	switch key {
	case "until":
		into.Before, err = parseTime("until", value, now)
	case "label":
		into.Labels = append(into.Labels, value)
	case "label!":
		into.Without = append(into.Without, value)
	case "dangling":
		var only bool
		if only, err = strconv.ParseBool(value); err == nil {
			into.All = !only
		}
	default:
		err = &unknownValue{fmt.Sprintf("invalid filter '%s'", key), "the filters are until, label, label! and dangling"}
	}
	return err
}
