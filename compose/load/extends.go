package load

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v4"
)

// extends checks the extends of every service in a mapping of services. prefix
// marks the index entries of a file that is only extended from.
func (c *checker) extends(f *file, root *yaml.Node, prefix string, within []string) {
	_, services := c.get(f, root, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return
	}
	for _, p := range c.pairs(f, services, "services") {
		c.extend(f, services, p.key.Value, prefix, within)
	}
}

// extend follows the extends of one service: the base must exist, is checked
// itself, and gives positions to what the service takes over.
func (c *checker) extend(f *file, services *yaml.Node, name, prefix string, within []string) {
	_, service := c.get(f, services, name)
	key, value := c.get(f, service, "extends")
	if key == nil {
		return
	}
	self := prefix + "services." + name
	w := c.walker(f, prefix)
	base, at, from, ok := c.extendsTarget(f, value)
	if !ok {
		return
	}
	here := f.path + "#" + name
	if slices.Contains(within, here) {
		w.report(key, key, self+".extends", fmt.Sprintf("service %s extends itself", name), "take one extends away")
		return
	}
	within = append(slices.Clone(within), here)
	if from == "" {
		c.sameFile(f, services, w, key, at, name, base, prefix, within)
		return
	}
	path := c.resolve(f, from)
	if wrong, _ := checkLocal(from); wrong != "" {
		return
	}
	if !c.inputs.exists(path) {
		w.report(at, key, self+".extends", "extended file "+from+" "+missing(path), "looked for "+path)
		return
	}
	other := c.open(path, filepath.Dir(path), f.env)
	if other.broken {
		return
	}
	c.otherFile(other, w, key, at, self, base, within)
}

// extendsTarget reads both forms of extends.
func (c *checker) extendsTarget(f *file, value *yaml.Node) (base string, at *yaml.Node, from string, ok bool) {
	if value.Kind == yaml.MappingNode {
		_, file := c.get(f, value, "file")
		for _, t := range c.texts(f, file) {
			from = t.text
		}
		_, value = c.get(f, value, "service")
	}
	for _, t := range c.texts(f, value) {
		return t.text, t.node, from, true
	}
	return "", nil, "", false
}

func (c *checker) sameFile(f *file, services *yaml.Node, w *walker, key, at *yaml.Node, name, base, prefix string, within []string) {
	self := prefix + "services." + name
	if baseKey, _ := c.get(f, services, base); baseKey == nil && !c.included(base) {
		w.report(at, key, self+".extends", fmt.Sprintf("%s extends service %s, which does not exist in %s", self, base, f.shown),
			c.suggestService(f, services, base))
		return
	}
	c.index.bases[self] = append(c.index.bases[self], prefix+"services."+base)
	c.extend(f, services, base, prefix, within)
}

func (c *checker) otherFile(f *file, w *walker, key, at *yaml.Node, self, base string, within []string) {
	for _, root := range f.documents {
		_, services := c.get(f, root, "services")
		baseKey, service := c.get(f, services, base)
		if baseKey == nil {
			w.report(at, key, self+".extends", fmt.Sprintf("%s extends service %s, which does not exist in %s", self, base, f.shown),
				c.suggestService(f, services, base))
			continue
		}
		prefix := f.path + "#"
		c.index.bases[self] = append(c.index.bases[self], prefix+"services."+base)
		where := spot{"services." + base, "services.*"}
		c.index.set(prefix+where.path, f.place(baseKey))
		c.walker(f, prefix).value(service, baseKey, c.serviceShape(), where)
		c.extend(f, services, base, prefix, within)
	}
}

// serviceShape is the schema of one service.
func (c *checker) serviceShape() *shape {
	s, _, _ := lookup(c.shape, spot{}, "services")
	if s == nil {
		return nil
	}
	s, _, _ = lookup(s, spot{}, "any")
	return s
}

// included says whether a service is known from another file.
func (c *checker) included(name string) bool {
	_, known := c.index.at["services."+name]
	return known
}

func (c *checker) suggestService(f *file, services *yaml.Node, name string) string {
	names := map[string]bool{}
	if services != nil && services.Kind == yaml.MappingNode {
		for _, p := range c.pairs(f, services, "services") {
			names[p.key.Value] = true
		}
	}
	return suggestName(name, maps.Keys(names))
}
