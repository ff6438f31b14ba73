// Package crash kills every role of mycompose at seams of the code (package
// engine/fault) while it works, makes calls fail there, and looks whether all
// is as it would have been: see points.txt for the list of points and
// world_test.go for what is looked at.
//
// A point is tried in a state folder where a neighbour project runs all the
// time. Several workers share the points, each with a state folder of its own:
//
//	neighbour up, picture of the machine taken
//	┌▶ project prepared ─▶ fault armed ─▶ command ─▶ fault acted ─▶ checks
//	│                                                                  │
//	└── picture of the machine equal ◀── down -v ◀─────────────────────┘
//
// make test tries the points that are marked with a star, make test-crash all,
// and writes their outcome to e2e/crash.txt.
package crash
