// Command mycompose-builder is the process that pulls and builds images. The
// daemon starts it with these descriptors and talks to it over the first:
//
//	3  a unix stream socket, see engine/image for what is said on it
//	4  the small program, sealed, which runs build steps
//
// MYCOMPOSE_STATE_DIR names the state folder. The builder leaves when the
// socket is closed, or after a while with nothing to do.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/mycompose/mycompose/engine/builder"
	"github.com/mycompose/mycompose/engine/folder"
	"github.com/mycompose/mycompose/engine/store"
	"github.com/mycompose/mycompose/engine/wire"
)

const (
	socketFD = 3
	smallFD  = 4
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mycompose-builder:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	if err := builder.Isolate(); err != nil {
		return err
	}
	place, err := store.Locate(os.Getenv(folder.StateDirVariable), os.Getenv(folder.RunRootVariable))
	if err != nil {
		return err
	}
	if err := builder.SetTemporary(place.State); err != nil {
		return err
	}
	conn, err := wire.NewConn(socketFD)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := builder.New(ctx, builder.Options{StateDir: place.State, Log: log, Small: os.NewFile(smallFD, "small")})
	if err != nil {
		return err
	}
	err = b.Serve(ctx, conn, builder.IdleTime)
	if e := b.Close(); err == nil {
		err = e
	}
	return err
}
