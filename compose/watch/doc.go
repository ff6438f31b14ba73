// Package watch decides from changes of files on this host what is to be done
// to services: develop.watch of the Compose specification. It looks at files
// and changes nothing; what it decides an Actor does (package compose).
//
//	inotify ─▶ dirty paths ─▶ filter ─▶ look ─▶ ledger: another content? ─▶ lanes, one per service
//	                                                                         │ sync: at once
//	                                                                         └ restart, exec, rebuild: Lane
//
// Invariants:
//   - The filter is first: an ignored path reaches no timer, costs no inotify
//     watch, and is never read.
//   - All that is known of a path is what it is now and what the ledger says it
//     was: events only say where to look. So an overflow, a suspended machine
//     or a daemon that was killed is repaired by looking everywhere.
//   - A save that leaves content, kind and permissions as they were is none.
//   - Only what the ledger knows is taken away in a container.
//   - Lanes do not wait for each other, and syncing waits for no restart or
//     rebuild.
package watch
