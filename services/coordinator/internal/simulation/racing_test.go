//go:build race

package simulation

// seeds are fewer with the race detector: a whole run makes and ends millions
// of goroutines, on which the detector of Go 1.26 itself dies now and then
// (SIGSEGV in __tsan::SlotLock while the garbage collector runs; compare
// golang/go#78059). `make simulation` runs all of them without it.
const seeds = 1_000
