package load

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// What only matters to who watches is found by who watches.
func TestMissingPathsOfWatchRulesAreNamedWhenTheyAreWatched(t *testing.T) {
	dir := "testdata/watch"
	opts := caseOptions(t, dir)
	result, err := Load(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.CheckWatch([]string{"other"}); err != nil {
		t.Errorf("of the other service: %v", err)
	}
	err = result.CheckWatch(nil)
	if err == nil {
		t.Fatal("no error")
	}
	golden(t, filepath.Join(dir, "want.txt"), strings.ReplaceAll(err.Error(), opts.Dir, "DIR")+"\n")
}
