package wire

import (
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// onMainVariable has this program do one thing on its main thread and end.
const onMainVariable = "MYCOMPOSE_TEST_ON_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(onMainVariable) == "" {
		os.Exit(m.Run())
	}
	runtime.GOMAXPROCS(1) // so that the next goroutine would be here too
	code := 0
	OnLastThread(func() {
		if unix.Gettid() == unix.Getpid() {
			code = 1
		}
	})
	os.Exit(code)
}

// A command starts the keeper on a thread that goes to the keeper's control groups.
// If that were its main thread, the command would be there until it ends.
func TestWhatIsDoneOnAThreadThatEndsIsNotDoneOnTheMainThread(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		command := exec.Command(self)
		command.Env = append(os.Environ(), onMainVariable+"=1")
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("it was the main thread: %v %s", err, out)
		}
	}
}
