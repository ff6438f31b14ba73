// Package load turns compose files into a model.Project, or says everything
// that is wrong with them, each with file, line and column. It changes nothing.
//
//	find      which files, which .env, which name and profiles   (find.go)
//	check     each file's YAML nodes: syntax, keys, types, values, files named
//	          by include and extends                              (parse, walk, value)
//	merge     compose-go fills variables in, merges and extends   (merge.go)
//	relate    names that must exist, cycles, clashes               (relate, cycle, files)
//	convert   compose-go's types end here and become model.Project (convert*)
//
// compose-go stops at its first error and knows no positions. So the check runs
// on our own parse, cuts what is wrong out of the tree, and compose-go merges
// the rest: later checks still run, and all mistakes are told at once.
//
// Keys of the compose specification that we do not support are refused with
// their position, never dropped (supported.go lists what is supported).
//
// The package also answers whether a file must be loaded at all (inputs.go):
// Inputs names everything a result depended on, and Unchanged looks at that
// without parsing anything.
//
// Invariants: the process' own environment, folder and standard input are never
// read, all comes with Options (but for "~" in paths, which compose-go takes from
// the process' HOME); nothing is written; contents of secrets and
// configs are in Result.Contents only.
package load
