// Command small is what of the small program a start needs, for tests.
package main

import (
	"os"

	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/stage"
)

func main() {
	switch os.Args[0] {
	case recipe.StageName:
		stage.Main()
	case recipe.InitName:
		stage.InitMain()
	}
	os.Exit(2)
}
