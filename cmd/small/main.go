// Command mycompose-small is the small program: keeper, monitor, stage, the
// init of a container, and proxy. argv[0] says which; it is started by
// mycompose only, from a sealed memfd. Where containers are started without the
// stage (see engine/stage), it is not stage and init.
//
// Its runtime does not follow changes of the processors that it may use.
//
// It links no net, log/slog or os/exec; a test holds that, and its size.
//
//go:debug updatemaxprocs=0
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mycompose/mycompose/engine/keeper"
	"github.com/mycompose/mycompose/engine/monitor"
	"github.com/mycompose/mycompose/engine/stage"
	"github.com/mycompose/mycompose/engine/wire"
)

func main() {
	os.Exit(run(filepath.Base(os.Args[0])))
}

func run(role string) int {
	switch role {
	case wire.RoleKeeper:
		return keeper.Main(os.Args[1:])
	case wire.RoleMonitor:
		return monitor.Main()
	case wire.RoleProxy:
		return proxyMain()
	case wire.RoleStage:
		if !stage.Direct {
			stage.Main()
		}
	case wire.RoleInit:
		if !stage.Direct {
			stage.InitMain()
		}
	}
	fmt.Fprintf(os.Stderr, "%s: this program is a part of mycompose and is started by it\n", role)
	return 2
}
