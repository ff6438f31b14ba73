package keeper

import (
	"errors"
	"os"
)

// A daemon of new programs has to stay up. One that ends by itself, soon and
// again and again, is given up for the programs before, which worked:
//
//	replace ──▶ new, before kept ──lives steadyTime──▶ before is closed
//	                 │ ends soon, failsAllowed times
//	                 ▼
//	            before again; the new binary is refused until another is given

// failsAllowed is how many daemons of new programs may end soon, in a row.
const failsAllowed = 3

var errRefused = errors.New("cannot replace: daemons of this program did not stay up (daemon.log says why), the one before was taken again")

// give takes over new programs and keeps those before.
func (k *Keeper) give(p programs) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused != nil {
		if info, err := p.binary.Stat(); err == nil && os.SameFile(info, k.refused) {
			closeFiles([]*os.File{p.binary, p.small})
			return errRefused
		}
	}
	if k.before == nil {
		before := k.programs
		k.before = &before
	} else { // those in between did not prove themselves
		closeFiles([]*os.File{k.programs.binary, k.programs.small})
	}
	k.programs = p
	return nil
}

// proved tells that a daemon of the present programs stays up.
func (k *Keeper) proved() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.before != nil {
		closeFiles([]*os.File{k.before.binary, k.before.small})
		k.before = nil
	}
}

// fallBack takes the programs before, if new ones failed so often in a row.
func (k *Keeper) fallBack(fails int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.before == nil || fails < failsAllowed {
		return false
	}
	// Without its identity it would be tried again, no more.
	k.refused, _ = k.programs.binary.Stat()
	closeFiles([]*os.File{k.programs.binary, k.programs.small})
	k.programs, k.before = *k.before, nil
	return true
}
