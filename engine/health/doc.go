// Package health decides about one container's health and restarts as two
// pure machines: a state and an input give the next state and how long to wait
// before the next act. There is no clock, no timer and no process in it; the
// engine drives it and keeps its states.
//
// Invariants:
//
//   - A container is never called unhealthy earlier than dockerd would call it
//     after the same failures before its first success (see Check.Next).
//   - A container that a user stopped is not started by its policy.
//   - Back-off doubles from MinBackoff to MaxBackoff and starts again after a
//     run of SteadyRun.
package health
