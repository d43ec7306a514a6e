//go:build race

package testenv

// Race tells whether the tests, and the programs that are built for them, run under the race detector.
const Race = true
