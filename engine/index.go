package engine

// index finds the containers that have something in common without looking at
// all of them: a down of 200 asks of each whether it is the last of its project,
// and the last to use its log and its addresses. Engine.mu guards it.
type index map[string]map[*life]struct{}

func (x index) add(l *life, keys []string) {
	for _, key := range keys {
		if x[key] == nil {
			x[key] = map[*life]struct{}{}
		}
		x[key][l] = struct{}{}
	}
}

func (x index) remove(l *life, keys []string) {
	for _, key := range keys {
		delete(x[key], l)
		if len(x[key]) == 0 {
			delete(x, key)
		}
	}
}

// shared are the keys of what a container may share with others.
func (e *Engine) shared(l *life) []string {
	b := l.rec.blueprint()
	keys := []string{logKey(e.logDir(b)), projectKey(b.Project)}
	if len(b.NamespaceOwners()) > 0 {
		keys = append(keys, followersKey)
	}
	for _, a := range l.rec.Blueprint.Networks {
		if a.LeaseKey != "" {
			keys = append(keys, addressKey(a.Network, a.LeaseKey))
		}
	}
	return keys
}

// followersKey is that of the containers in a namespace of another one.
const followersKey = "followers"

func projectKey(project string) string      { return "project " + project }
func logKey(dir string) string              { return "log " + dir }
func addressKey(network, key string) string { return "address " + network + " " + key }

// sharers are the other containers with a key, in no order.
func (e *Engine) sharers(l *life, key string) []*life {
	e.mu.Lock()
	defer e.mu.Unlock()
	var others []*life
	for other := range e.index[key] {
		if other != l {
			others = append(others, other)
		}
	}
	return others
}

// enter makes a container known. mu is held, or the engine is being opened.
func (e *Engine) enter(l *life) {
	e.lives[l.id], e.names[l.name()] = l, l.id
	e.index.add(l, e.shared(l))
}

// leave is the inverse of enter.
func (e *Engine) leave(l *life) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.lives, l.id)
	delete(e.names, l.name())
	e.index.remove(l, e.shared(l))
}

// leaveProject takes a container that is being removed out of those of its
// project, and reports whether it was the last: of many that are removed at the
// same time one is.
func (e *Engine) leaveProject(l *life) (last bool) {
	key := projectKey(l.rec.Blueprint.Project)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.index.remove(l, []string{key})
	return len(e.index[key]) == 0
}

// enterProject is the inverse of leaveProject.
func (e *Engine) enterProject(l *life) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.index.add(l, []string{projectKey(l.rec.Blueprint.Project)})
}
