package load

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/mycompose/mycompose/compose/model"
)

// converter turns compose-go's types into ours; they end here.
type converter struct {
	*projectLoader
	contents map[string][]byte
}

// convert makes the model. Values were checked before, so that what still does
// not fit is reported as a mistake, never dropped.
func (l *projectLoader) convert(p *types.Project, contents map[string][]byte) *model.Project {
	c := &converter{projectLoader: l, contents: contents}
	out := &model.Project{
		Format:       model.Format,
		Name:         p.Name,
		WorkingDir:   p.WorkingDir,
		ComposeFiles: p.ComposeFiles,
		Profiles:     slices.Sorted(slices.Values(p.Profiles)),
		Services:     map[string]model.Service{},
		Extensions:   c.extensions("", p.Extensions),
	}
	for name, s := range p.Services {
		out.Services[name] = c.service(p, s)
	}
	for name, s := range p.DisabledServices {
		if out.Disabled == nil {
			out.Disabled = map[string]model.Service{}
		}
		out.Disabled[name] = c.service(p, s)
	}
	out.Networks = convertMap(p.Networks, c.network)
	out.Volumes = convertMap(p.Volumes, c.volume)
	out.Configs = convertMap(p.Configs, func(key string, o types.ConfigObjConfig) model.Object {
		return c.objectModel("configs", key, types.FileObjectConfig(o), l.used(p, "configs", key))
	})
	out.Secrets = convertMap(p.Secrets, func(key string, o types.SecretConfig) model.Object {
		return c.objectModel("secrets", key, types.FileObjectConfig(o), l.used(p, "secrets", key))
	})
	return out
}

func convertMap[M ~map[string]V, V, W any](m M, convert func(string, V) W) map[string]W {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]W, len(m))
	for _, key := range sortedKeys(m) {
		out[key] = convert(key, m[key])
	}
	return out
}

func (c *converter) network(key string, n types.NetworkConfig) model.Network {
	out := model.Network{
		Key:      key,
		Name:     n.Name,
		External: bool(n.External),
		Internal: n.Internal,
		Driver:   networkDriver(n.Driver),
		Labels:   copyMap(n.Labels),
		Options:  copyMap(n.DriverOpts),

		Attachable: n.Attachable,
		EnableIPv6: n.EnableIPv6 != nil && *n.EnableIPv6, DisableIPv4: n.EnableIPv4 != nil && !*n.EnableIPv4,
	}
	if n.External {
		out.Where = c.index.At("networks." + key).String()
	}
	for _, pool := range n.Ipam.Config {
		if pool.Subnet != "" {
			out.Subnets = append(out.Subnets, model.Subnet{
				Subnet: pool.Subnet, Gateway: pool.Gateway, IPRange: pool.IPRange, Reserved: copyMap(pool.AuxiliaryAddresses),
			})
		}
	}
	return out
}

func (c *converter) volume(key string, v types.VolumeConfig) model.Volume {
	out := model.Volume{
		Key:      key,
		Name:     v.Name,
		External: bool(v.External),
		Driver:   "local",
		Labels:   copyMap(v.Labels),
		Options:  copyMap(v.DriverOpts),
	}
	if v.External {
		out.Where = c.index.At("volumes." + key).String()
	}
	return out
}

// objectModel converts a config or secret; the content of one that is used goes
// to contents.
func (c *converter) objectModel(section, key string, o types.FileObjectConfig, used bool) model.Object {
	out := model.Object{Key: key, Name: o.Name, Labels: copyMap(o.Labels)}
	var content []byte
	switch {
	case o.File != "":
		out.Source, out.Origin = model.SourceFile, o.File
		if used {
			data, err := c.inputs.read(o.File)
			if err != nil {
				c.mistake(join(section, key)+".file", fmt.Sprintf("cannot read %s for %s: %s", c.shown(o.File), key, cause(err)), "make it a file that can be read")
			}
			content = data
		}
	case o.Environment != "":
		out.Source, out.Origin = model.SourceEnvironment, o.Environment
		content = []byte(c.env[o.Environment])
	default:
		out.Source = model.SourceContent
		content = []byte(o.Content)
	}
	if used {
		sum := sha256.Sum256(content)
		out.Digest = hex.EncodeToString(sum[:])
		c.contents[out.Digest] = content
	}
	return out
}

func (c *converter) extensions(path string, e types.Extensions) map[string]json.RawMessage {
	if len(e) == 0 {
		return nil
	}
	out := map[string]json.RawMessage{}
	for _, key := range sortedKeys(e) {
		data, err := json.Marshal(e[key])
		if err != nil {
			c.mistake(join(path, key), join(path, key)+" cannot be kept: "+err.Error(), "use plain YAML values")
			continue
		}
		out[key] = data
	}
	return out
}

func copyMap[M ~map[string]string](m M) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
