package main

import (
	"os"

	"github.com/mycompose/mycompose/engine/keeper"
	"github.com/mycompose/mycompose/engine/monitor"
	"github.com/mycompose/mycompose/engine/recipe"
	"github.com/mycompose/mycompose/engine/stage"
	"github.com/mycompose/mycompose/engine/wire"
)

func main() {
	switch os.Args[0] {
	case recipe.StageName:
		stage.Main()
	case recipe.InitName:
		stage.InitMain()
	case wire.RoleKeeper:
		os.Exit(keeper.Main(os.Args[1:]))
	case wire.RoleMonitor:
		os.Exit(monitor.Main())
	}
	os.Exit(2)
}
