package wire

import (
	"errors"
	"fmt"
	"os"

	"github.com/mycompose/mycompose/engine/folder"
)

// The protocol between daemon and proxy. The proxy listens on
// <run>/proxy.sock; the daemon dials, first and after every restart of either.
// It survives the daemon, and leaves when a change has left its table empty, or
// when a connection ends while it is.
//
//	daemon                           proxy
//	  │ list ──────────────────────────▶│ a new daemon asks what is there
//	  │◀────── entries + their sockets  │
//	  │ change(add + sockets, remove) ─▶│ answered once it listens, or has
//	  │◀──────────────────── what failed│ stopped listening
const (
	// ProxyChange: ProxyChangeRequest + files of Add in their order →
	// ProxyChangeAnswer. Of an equal entry nothing is touched.
	ProxyChange = "change"
	// ProxyList: ProxyListRequest → ProxyListAnswer + files in their order.
	ProxyList = "list"
)

// ProxyEntry is one listening place and where its connections lead.
type ProxyEntry struct {
	ID string `json:"id"` // of the daemon's choice
	// Addr and Port are the container's; Addr6, unless it is zero, is taken in
	// place of Addr.
	Addr  [4]byte  `json:"addr"`
	Addr6 [16]byte `json:"addr6,omitzero"`
	Port  uint16   `json:"port"`
	// Hold is how many milliseconds a connection waits for Drain before it is
	// connected; 0 does not wait.
	Hold int `json:"hold,omitempty"`
}

// ProxyChangeRequest alters the table: first Remove and Drain, then Add, of which
// there are at most MaxFiles. Unknown ids in Remove are success.
type ProxyChangeRequest struct {
	Add    []ProxyEntry `json:"add,omitempty"`
	Remove []string     `json:"remove,omitempty"`
	// Drain takes entries out of the table and lets their connections end by
	// themselves; the proxy stays until they have.
	Drain []string `json:"drain,omitempty"`
	// Move gives entries another id, target and hold, before Add and without
	// touching their sockets.
	Move []ProxyMove `json:"move,omitempty"`
}

// ProxyMove is what the entry From becomes. Who waits there waits on, or is let
// through if Hold is 0; another ID ends what was connected to the old target.
type ProxyMove struct {
	From string `json:"from"`
	ProxyEntry
}

// ProxyChangeAnswer says by id what could not be added or moved, and why.
type ProxyChangeAnswer struct {
	Failed map[string]string `json:"failed,omitempty"`
}

// ProxyListRequest asks for what follows After in the order of ids.
type ProxyListRequest struct {
	After string `json:"after,omitempty"`
}

// ProxyListAnswer holds at most MaxFiles entries; More says that there are
// others after the last.
type ProxyListAnswer struct {
	Entries []ProxyEntry `json:"entries,omitempty"`
	More    bool         `json:"more,omitempty"`
}

// ErrProxyThere: the proxy of this state folder lives; dial it.
var ErrProxyThere = errors.New("the proxy is there")

// StartProxy starts the proxy from the small program. Its socket listens when
// StartProxy returns. The caller waits for the process.
func StartProxy(place folder.Place, binary, small *os.File) (*os.Process, error) {
	process, err := startHolder(place.ProxyLock(), place.ProxySocket(), binary, Small{
		Program:     small,
		Args:        []string{RoleProxy},
		Env:         place.Environment(),
		Descriptors: ManyDescriptors,
	})
	if errors.Is(err, folder.ErrLocked) {
		err = ErrProxyThere
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start the proxy: %w", err)
	}
	return process, nil
}
