package builder

import (
	"context"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// progressEvery is how often a layer's byte count is told.
const progressEvery = 100 * time.Millisecond

// job is one request in progress: where its events go.
type job struct {
	id   string
	emit func(image.Event)
}

func (j *job) event(e image.Event) {
	if j == nil || j.emit == nil {
		return
	}
	e.Job = j.id
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	j.emit(e)
}

// layer tells a word about a layer; ended says that it was the last.
func (j *job) layer(desc ocispec.Descriptor, action string, ended bool) {
	status := image.StatusProgress
	if ended {
		status = image.StatusDone
	}
	j.event(image.Event{
		Vertex: string(desc.Digest), Name: shortDigest(string(desc.Digest)),
		Status: status, Action: action, Current: desc.Size, Total: desc.Size,
	})
}

func shortDigest(d string) string {
	if len(d) > len("sha256:")+12 {
		return d[len("sha256:") : len("sha256:")+12]
	}
	return d
}

// reading counts what is read of a layer and tells it now and then.
func (j *job) reading(desc ocispec.Descriptor, action string, in io.Reader) io.Reader {
	return &countingReader{in: in, job: j, desc: desc, action: action}
}

type countingReader struct {
	in     io.Reader
	job    *job
	desc   ocispec.Descriptor
	action string
	done   int64
	told   time.Time
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.done += int64(n)
	if now := time.Now(); now.Sub(c.told) >= progressEvery {
		c.told = now
		c.job.event(image.Event{
			Vertex: string(c.desc.Digest), Name: shortDigest(string(c.desc.Digest)),
			Status: image.StatusProgress, Action: c.action, Current: c.done, Total: c.desc.Size,
		})
	}
	return n, err
}

// keyedLocks is one mutex per name, which can be waited for with a context.
type keyedLocks struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	users int
	token chan struct{} // holds one token while unlocked
}

func (k *keyedLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[name]
	if l == nil {
		l = &keyedLock{token: make(chan struct{}, 1)}
		l.token <- struct{}{}
		k.locks[name] = l
	}
	l.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, name)
		}
	}
	select {
	case <-l.token:
		return func() { l.token <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
