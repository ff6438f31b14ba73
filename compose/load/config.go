package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/mycompose/mycompose/compose/model"
)

// YAML is the resolved project as `docker compose config` prints it: a service's
// keys in alphabetical order, words that were booleans in YAML 1.1 in single
// quotes. It can be loaded again: a dollar sign is doubled.
func (r *Result) YAML() ([]byte, error) {
	var root yaml.Node
	if err := root.Encode(r.merged); err != nil {
		return nil, fmt.Errorf("cannot write project %s as YAML: %w", r.Project.Name, err)
	}
	sortServices(&root)
	quoteWords(&root)
	doubleDollars(&root)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	err := encoder.Encode(&root)
	if err == nil {
		err = encoder.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write project %s as YAML: %w", r.Project.Name, err)
	}
	return b.Bytes(), nil
}

// sortServices orders the keys of each service.
func sortServices(root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		if root.Content[i].Value != "services" {
			continue
		}
		services := root.Content[i+1]
		for j := 1; j < len(services.Content); j += 2 {
			sortKeys(services.Content[j])
			fixSSH(valueOf(valueOf(services.Content[j], "build"), "ssh"))
		}
	}
}

// fixSSH writes entries of build.ssh as files have them, id=path: compose-go
// writes "id: path", which it does not read.
func fixSSH(list *yaml.Node) {
	if list == nil {
		return
	}
	for _, entry := range list.Content {
		entry.Value = strings.Replace(entry.Value, ": ", "=", 1)
		entry.Style = 0
	}
}

// valueOf is the value of a key of a mapping, or nil.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func sortKeys(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	var pairs []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		pairs = append(pairs, pair{n.Content[i], n.Content[i+1]})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key.Value, b.key.Value) })
	n.Content = n.Content[:0]
	for _, p := range pairs {
		n.Content = append(n.Content, p.key, p.value)
	}
}

// doubleDollars lets every $ of a value survive another load. Keys are never
// filled in, so they stay.
func doubleDollars(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	for i, c := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			doubleDollars(c)
		}
	}
}

// doubleDollarsJSON is doubleDollars for JSON, in which $ stands only inside of
// texts; a text before a colon is a key.
func doubleDollarsJSON(data []byte) []byte {
	var out []byte
	for i := 0; i < len(data); i++ {
		if data[i] != '"' {
			out = append(out, data[i])
			continue
		}
		end := i + 1
		for data[end] != '"' {
			if data[end] == '\\' {
				end++
			}
			end++
		}
		text := data[i : end+1]
		if rest := bytes.TrimLeft(data[end+1:], " \n"); len(rest) == 0 || rest[0] != ':' {
			text = bytes.ReplaceAll(text, []byte("$"), []byte("$$"))
		}
		out, i = append(out, text...), end
	}
	return out
}

// quoteWords puts texts that an older reader would take for true or false in
// single quotes.
func quoteWords(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		switch strings.ToLower(n.Value) {
		case "y", "n", "yes", "no", "on", "off":
			n.Style = yaml.SingleQuotedStyle
		}
	}
	for _, c := range n.Content {
		quoteWords(c)
	}
}

// withoutSSH takes build.ssh out, since compose-go writes no valid JSON for it;
// keys are the entries of each service as the file has them.
func withoutSSH(p *types.Project) (_ *types.Project, keys map[string][]string) {
	out := *p
	out.Services, keys = maps.Clone(p.Services), map[string][]string{}
	for name, s := range p.Services {
		if s.Build == nil || len(s.Build.SSH) == 0 {
			continue
		}
		for _, key := range s.Build.SSH {
			keys[name] = append(keys[name], strings.TrimSuffix(key.ID+"="+key.Path, "="))
		}
		build := *s.Build
		build.SSH, s.Build = nil, &build
		out.Services[name] = s
	}
	return &out, keys
}

// JSON is the resolved project as `docker compose config --format json` prints
// it: indented by two, no newline at the end.
func (r *Result) JSON() ([]byte, error) {
	merged, keys := withoutSSH(r.merged)
	data, err := merged.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("cannot write project %s as JSON: %w", r.Project.Name, err)
	}
	// Maps come out in alphabetical order, raw values as they are.
	var top map[string]json.RawMessage
	var services map[string]map[string]json.RawMessage
	if err = json.Unmarshal(data, &top); err == nil {
		err = json.Unmarshal(top["services"], &services)
	}
	for name, ssh := range keys {
		var build map[string]any
		if err == nil {
			err = json.Unmarshal(services[name]["build"], &build)
		}
		if err == nil {
			build["ssh"] = ssh
			services[name]["build"], err = json.Marshal(build)
		}
	}
	for name, s := range merged.Services {
		if err == nil && s.BlkioConfig != nil {
			services[name]["blkio_config"], err = json.Marshal(blockJSON(s.BlkioConfig))
		}
	}
	if err == nil {
		top["services"], err = json.Marshal(services)
	}
	if err == nil {
		data, err = json.MarshalIndent(top, "", "  ")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write project %s as JSON: %w", r.Project.Name, err)
	}
	return doubleDollarsJSON(data), nil
}

// Services are the names of the enabled services, sorted.
func (r *Result) Services() []string { return r.Project.ServiceNames() }

// Volumes are the keys of the declared volumes, sorted.
func (r *Result) Volumes() []string { return sortedKeys(r.Project.Volumes) }

// Networks are the keys of the declared networks, sorted.
func (r *Result) Networks() []string { return sortedKeys(r.Project.Networks) }

// Images are the references that the enabled services run, each once, sorted.
func (r *Result) Images() []string {
	var images []string
	for _, s := range r.Project.Services {
		images = append(images, r.Project.ImageName(s))
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// Profiles are all that any service names, active or not, sorted.
func (r *Result) Profiles() []string {
	var profiles []string
	for _, services := range []map[string]model.Service{r.Project.Services, r.Project.Disabled} {
		for _, s := range services {
			profiles = append(profiles, s.Profiles...)
		}
	}
	slices.Sort(profiles)
	return slices.Compact(profiles)
}

// Environment is the variables for interpolation as NAME=value, sorted.
func (r *Result) Environment() []string {
	var lines []string
	for _, name := range sortedKeys(r.env) {
		lines = append(lines, name+"="+r.env[name])
	}
	return lines
}

// Hash names the configuration of a service, 64 hex characters: what its
// containers depend on, without scale, build, pull policy, profiles and
// dependencies. ok is false for an unknown service.
func (r *Result) Hash(service string) (hash string, ok bool) {
	s, ok := r.Project.Services[service]
	if !ok {
		return "", false
	}
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles, s.Watch = nil, "", 0, nil, nil, nil
	s.Image = r.Project.ImageName(s)
	// Plain data: this cannot fail.
	data, _ := json.Marshal(s)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), true
}
