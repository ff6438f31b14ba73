// Package confine says what a container may do: capabilities by name, the
// seccomp profile compiled to BPF, masked and read-only paths, sysctls,
// rlimits. It turns a policy (names, as users write them) into the numbers and
// bytes of a recipe. Unknown names are errors, never dropped.
//
// It enforces nothing itself (engine/stage does, inside), reads nothing of the
// machine but the kernel's version, and holds no state but the compiled
// profiles that a Confiner keeps.
package confine
