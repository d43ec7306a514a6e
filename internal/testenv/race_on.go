//go:build race

package testenv

// raceDetector tells whether the test was built with the race detector; the server then is, too.
const raceDetector = true
