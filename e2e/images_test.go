package e2e

import (
	"testing"

	"github.com/mycompose/mycompose/e2e/kerneltest"
)

func busyboxTar(t testing.TB) string {
	t.Helper()
	return kerneltest.BusyboxTar(t, tempDir(t))
}
