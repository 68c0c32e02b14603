//go:build !unix

package main

import "time"

var started = time.Now()

// spent is the time that has passed, where processor time cannot be read.
func spent() time.Duration { return time.Since(started) }
