package stage

import (
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/mycompose/mycompose/engine/recipe"
)

// Main is the small program under the name recipe.StageName. It never
// returns: the process becomes the recipe's program, or ends with what went
// wrong reported to spawn.
func Main() {
	runtime.LockOSThread()
	debug.SetGCPercent(-1) // short-lived, and a collector needs threads
	ch := channel{recipe.FDChannel}
	err := run(ch)
	ch.report(err)
	os.Exit(FailureOf(err).Code)
}

// run returns only with an error.
func run(ch channel) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return failed("stage", "cannot hide the stage: %v", err)
	}
	if err := unix.CloseRange(recipe.FDProgram, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return failed("stage", "cannot close descriptors on exec: %v", err)
	}
	r, err := ch.receive()
	if err != nil {
		return err
	}
	s := &stage{Recipe: r, channel: ch, root: -1}
	steps := []func() error{
		s.enterCgroups, s.enterNamespaces, s.buildRoot, s.setTerminal,
		s.ownPipes, s.setRlimits, s.newKeyring, s.changeDirectory,
		s.awaitGate, s.dropRights,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return s.execute()
}

// stage is one start on its way.
type stage struct {
	*recipe.Recipe
	channel channel
	files   []int // behind the recipe's Files; nil: from FDFirst on
	root    int   // descriptor of the attached root; -1 for an exec
	devpts  int   // of the container's own devpts; valid with root
	opened  []int // what only the end of the start closes

	// heldProc holds the place of /proc while there is none, see direct.
	heldProc *unix.Stat_t
	// later are mounts on files of /proc, for when it is there.
	later []laterMount
}

// fd is the descriptor behind a File of the recipe.
func (s *stage) fd(f recipe.File) int {
	if s.files != nil {
		return s.files[f]
	}
	return recipe.FDFirst + int(f)
}

func (s *stage) isExec() bool  { return s.Kind == recipe.KindExec }
func (s *stage) isAgain() bool { return s.Kind == recipe.KindAgain }
