//go:build !linux

package measure

import "time"

// ThreadCPU is the CPU time of the process, where that of a thread cannot be
// read.
func ThreadCPU() time.Duration { return CPU() }
