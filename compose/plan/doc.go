// Package plan compares what a project wants with what there is and says what
// to do about it: a DAG of steps, each with its cause in a user's words. Every
// operation of compose is such a plan, also start, wait, stop and kill.
//
// It is pure: no clock, no context, no backend; equal input gives an equal
// plan. It does nothing itself; compose/apply does, and decides nothing.
//
// A plan grows. As long as the digest of a service's image is not known (it
// must be pulled or built first) nothing can be said about its containers: the
// service is pending, and a gate step stands for its containers. Once the image
// step has ended, With computes the same Diff with one digest more:
//
//	pull redis ──▶ [containers of cache] ──▶ start web-1
//	                      │ With(redis, digest)
//	pull redis ──▶ create cache-1 ──▶ start cache-1 ──▶ start web-1
//
// Invariants:
//   - Step ids are the same each time, and With only adds steps and replaces
//     gates: what was decided for other services stays as it was.
//   - Steps stand in an order in which they may be done one by one.
//   - Only containers, networks and volumes labelled as the project's are
//     changed or removed; an unlabelled or external one is used as it is.
package plan
