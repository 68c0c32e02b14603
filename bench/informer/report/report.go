// Package report is what a client tells the benchmark.
package report

import "time"

// Sync is what it took until all Pods were held and handlers told.
type Sync struct {
	Allocated int64 // bytes
	Live      int64 // bytes of the heap that remain
	CPU, Wall time.Duration
}

// Events is what changes took.
type Events struct {
	Received  []int64 // when handlers were told, Unix nanoseconds
	CPU       time.Duration
	Allocated int64
}
