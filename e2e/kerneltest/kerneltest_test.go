package kerneltest

import (
	"errors"
	"runtime"
	"testing"
)

func TestAFunctionThatEndsItsGoroutineHangsNobody(t *testing.T) {
	NeedRoot(t)
	ns := NewNetNS(t)
	err := ns.Try(func() error {
		runtime.Goexit() // what t.Fatal does
		return nil
	})
	if !errors.Is(err, ErrEnded) {
		t.Errorf("got %v, want %v", err, ErrEnded)
	}
	want := errors.New("its own")
	if err := ns.Try(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
