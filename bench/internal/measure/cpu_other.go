//go:build !unix

package measure

import "time"

var started = time.Now()

// CPU is the time that has passed, where processor time cannot be read.
func CPU() time.Duration { return time.Since(started) }
