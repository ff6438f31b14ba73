// Package state holds both sides of a plan as plain data: what a project wants
// (Want, pure) and what there is (Observe, asks a backend). It decides nothing
// and changes nothing; compose/plan compares the two.
//
// Invariants:
//   - Want takes values and returns values: no clock, no context, no backend.
//   - The hash of a container, network or volume covers what the engine really
//     uses, contents of configs and secrets by their digest included. It leaves
//     out the number of replicas, depends_on, profiles, build, pull_policy, the
//     image's digest (compared by itself), the tool's version and the paths of
//     the compose files, so that none of these recreates anything.
//   - A replica's number is chosen by plan; Service.Replica fills in all that
//     depends on it.
//   - What carries no com.docker.compose.project label of the project is never
//     part of Actual's containers.
package state
