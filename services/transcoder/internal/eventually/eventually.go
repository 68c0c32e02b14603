// Package eventually waits in tests for what another goroutine or process
// brings about.
package eventually

import (
	"testing"
	"time"
)

const (
	patience = time.Minute
	pause    = 2 * time.Millisecond
)

// True waits until condition holds, and fails the test when that takes too
// long.
func True(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-time.After(pause):
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
