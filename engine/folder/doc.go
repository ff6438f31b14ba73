// Package folder says where the things of one state folder lie, and holds the
// locks of our processes. It is what the small program's roles know of a state
// folder; what the objects in it are is package store's.
//
// The run folder <run root>/<tag>, 0700, is stamped with the boot id; what
// another boot left there is cleared. The tag names everything of one state
// folder (store.Locate computes it, our processes inherit it), the run root is
// /run/mycompose unless MYCOMPOSE_RUN_ROOT names another one (tests do):
//
//	boot                  the boot id that this content belongs to
//	keeper.lock           held by the keeper for life
//	keeper.sock           the keeper's protocol, see engine/wire
//	daemon.lock           held by the daemon for life; its content is the pid
//	api.sock              the daemon's socket
//	stopped               there on purpose is no keeper
//	monitor/<id>.sock     a monitor's protocol; <id>.lock is held for its life
//	exits/<id>.json       exit records, written by the monitors
//	locks/                locks of objects, see package store
//
// The package stays free of net, log/slog, os/exec and every hash.
package folder
