// Package e2e holds the tests of the whole: the layers of the house, and
// scripts that run the real binary on the real kernel.
package e2e
