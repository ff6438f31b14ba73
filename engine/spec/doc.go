// Package spec is the vocabulary of the engine as plain data: blueprints,
// status, progress and sentinel errors. It is what compose says to the engine
// and hears from it; there is no pid, no descriptor and no path inside the
// engine's own folders in it. The engine knows projects only as a name that
// groups, and services only as labels.
//
// Everything here survives JSON without loss.
package spec
