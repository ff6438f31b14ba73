package confine

import (
	"fmt"
	"sync"
)

// profileCache keeps compiled profiles by what went into them; the
// architecture and the kernel are those of this process.
type profileCache struct {
	mu       sync.Mutex
	compiled map[string][]byte // by the capabilities
}

func (c *profileCache) defaultProfile(caps []uint) ([]byte, error) {
	key := fmt.Sprint(caps)
	c.mu.Lock()
	defer c.mu.Unlock()
	if program, ok := c.compiled[key]; ok {
		return program, nil
	}
	program, err := compileDefault(caps)
	if err != nil {
		return nil, fmt.Errorf("cannot compile seccomp profile: %w", err)
	}
	if c.compiled == nil {
		c.compiled = map[string][]byte{}
	}
	c.compiled[key] = program
	return program, nil
}
