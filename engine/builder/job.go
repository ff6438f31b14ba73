package builder

import (
	"context"
	"io"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mycompose/mycompose/engine/image"
)

// A layer's byte count is told every progressEvery, but at most progressSteps
// times: events are kept with their operation.
const (
	progressEvery = 100 * time.Millisecond
	progressSteps = 200
)

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

// waiting tells of a layer that is still to come, so that whoever draws a bar
// knows the size of the whole before the first byte of it.
func (j *job) waiting(desc ocispec.Descriptor) {
	j.event(image.Event{
		Vertex: string(desc.Digest), Name: shortDigest(string(desc.Digest)),
		Status: image.StatusProgress, Action: "Pulling fs layer", Total: desc.Size,
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
	told   int64 // of done
	at     time.Time
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.done += int64(n)
	if now := time.Now(); c.worthTelling(now, err) {
		c.told, c.at = c.done, now
		c.job.event(image.Event{
			Vertex: string(c.desc.Digest), Name: shortDigest(string(c.desc.Digest)),
			Status: image.StatusProgress, Action: c.action, Current: c.done, Total: c.desc.Size,
		})
	}
	return n, err
}

// worthTelling: now and then, and the last byte always.
func (c *countingReader) worthTelling(now time.Time, err error) bool {
	if err == io.EOF || (c.desc.Size > 0 && c.done == c.desc.Size) {
		return c.done > c.told
	}
	return now.Sub(c.at) >= progressEvery && (c.at.IsZero() || c.done-c.told >= c.desc.Size/progressSteps)
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
