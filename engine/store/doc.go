// Package store keeps durable objects: JSON files with a checksum and a format
// version, replaced atomically, and their locks. It draws the folder tree
// below, and it knows nothing of what the objects mean.
//
// The state folder (--state-dir, MYCOMPOSE_STATE_DIR), 0711:
//
//	format                          "mycompose state 1": the format of this tree
//	containers/<id>/container.json  what was created; further files and the
//	                                overlay's upper and work beside it
//	containers/<id>/status.json     what happened to it last
//	images/<digest>.json            image records, immutable
//	imagenames/                     which name means which record
//	builder/                        the builder's own: blobs, unpacked layers, cache
//	networks/<name>/network.json    and the address leases beside it
//	volumes/<name>/volume.json      volumes/<name>/_data is the content
//	projects/<name>/project.json    desired state, inputs
//	projects/<name>/watch.json      how it is watched, if it is; what is known of
//	                                its files lies beside it in watched.json
//	projects/<name>/operations/<id>.json
//	skeleton/root/                  mount points, the lowest layer of every root
//	contents/<digest>               configs and secrets, 0600 files by SHA-256
//	logs/<project>/<replica>/       see package engine/logs
//	builder/                        the builder's own
//	daemon.log, daemon.log.1        what daemon and builder say, bounded
//
// What goes with a boot lies in the run folder, see package folder. Both are
// named by a tag: the first 8 hex digits of the SHA-256 of the state folder's
// real path.
//
// An object is two parts: the line
//
//	mycompose-object <version> <sha256 of the document, hex>
//
// and one JSON document in one line. A file of a kind that changes often holds
// several of them, of which the last whole one counts. A stop at any instruction
// leaves the old object or the new one. A file that a power failure tore is set
// aside as <file>.torn and named by a [TornError]. A newer version than this
// program knows is a [NewerError] and is left alone.
package store
