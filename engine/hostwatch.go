package engine

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/network"
	"github.com/mycompose/mycompose/network/firewall"
)

// watchPause is the wait before the host is watched again after a failure.
const watchPause = time.Second

// watchHost repairs, for as long as the engine lives, what others do to the
// host's rules, and closes links that come to a host that forwards because of
// us, and the way to bridges of other engines.
func (e *Engine) watchHost() {
	e.goDo(func() {
		e.watchAgain("changes of the host's rules are not seen", func() error {
			return e.rules.table.Watch(e.ctx, func(n firewall.Notice) {
				err := e.rules.notice(n)
				if n.Ours {
					err = errors.Join(err, e.shutRouter())
				}
				if err != nil && e.ctx.Err() == nil {
					e.log.Error("rules are not repaired", "err", err)
				}
			})
		})
	})
	e.goDo(func() {
		e.watchAgain("new links of the host are not seen", func() error {
			return e.host.WatchLinks(e.ctx, func() {
				if err := e.shutRouter(); err != nil && e.ctx.Err() == nil {
					e.log.Error("the host may route for others", "err", err)
				}
				if err := e.estrange(); err != nil && e.ctx.Err() == nil {
					e.log.Error("containers may reach those of other engines", "err", err)
				}
			}, func(l network.Link) {
				if err := e.regroup(l); err != nil && e.ctx.Err() == nil {
					e.log.Error("rules do not know a bridge of ours", "err", err)
				}
			})
		})
	})
}

// watchAgain calls watch until it ends without an error.
func (e *Engine) watchAgain(failure string, watch func() error) {
	for {
		err := watch()
		if err == nil || e.ctx.Err() != nil {
			return
		}
		e.log.Warn(failure, "err", err)
		select {
		case <-time.After(watchPause):
		case <-e.ctx.Done():
			return
		}
	}
}

// estrange keeps our containers from networks of other engines.
func (e *Engine) estrange() error {
	names, err := e.host.Strangers()
	if err != nil {
		return err
	}
	return errors.Join(e.estrangeShield(names), e.rules.estrange(names))
}

// regroup puts a bridge of ours back into the link group by which the rules know
// it, after somebody took it out.
func (e *Engine) regroup(l network.Link) error {
	if l.Group == e.linkGroup() {
		return nil
	}
	if b := e.networkOn(l.Name); b == nil || !b.bridged() {
		return nil
	}
	err := e.host.SetGroup(l.Name, e.linkGroup())
	if errors.Is(err, unix.ENODEV) { // it has gone meanwhile
		return nil
	}
	return err
}

// shutRouter closes the host's links again, if they were closed by us.
func (e *Engine) shutRouter() error {
	lock, err := network.LockHost(e.place.RunRoot)
	if err != nil {
		return err
	}
	return errors.Join(lock.Shut(e.host), lock.Unlock())
}
