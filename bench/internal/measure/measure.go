// Package measure times alternatives side by side: measure.go runs them in
// turns, line.go reports, cpu_*.go and thread_*.go read the clocks.
//
// The alternatives of one comparison run in one process, in turns, so that a
// noisy machine disturbs all alike. Time is CPU time of the whole process, in
// which only the alternative at hand works, so that garbage collection counts
// for who makes the garbage. Of several rounds the quickest counts: noise only
// adds.
package measure

import (
	"fmt"
	"runtime"
	"time"
)

// Case is one alternative.
type Case struct {
	Name string
	Ops  int          // operations that one Run does
	Run  func() error // the same work for each alternative
}

// Result is what an alternative took.
type Result struct {
	Name   string
	PerOp  float64 // CPU time of an operation in nanoseconds
	Allocs float64 // allocations of an operation
}

// Turns bounds a comparison. Zero fields mean the default.
type Turns struct {
	Rounds int           // 7
	Least  time.Duration // CPU time that each alternative gets in a round, 20 ms
}

// Compare runs the cases in turns and returns their results in order.
func Compare(cases []Case, turns Turns) ([]Result, error) {
	if turns.Rounds == 0 {
		turns.Rounds = 7
	}
	if turns.Least == 0 {
		turns.Least = 20 * time.Millisecond
	}
	results, repeats := make([]Result, len(cases)), make([]int, len(cases))
	for i, c := range cases {
		results[i].Name = c.Name
		var err error
		if repeats[i], results[i].Allocs, err = warm(c, turns.Least); err != nil {
			return nil, err
		}
	}
	for range turns.Rounds {
		for i, c := range cases {
			runtime.GC()
			took, err := timed(c, repeats[i])
			if err != nil {
				return nil, err
			}
			each := float64(took.Nanoseconds()) / float64(repeats[i]*c.Ops)
			if results[i].PerOp == 0 || each < results[i].PerOp {
				results[i].PerOp = each
			}
		}
	}
	return results, nil
}

// warm runs a case until it takes long enough to be timed.
func warm(c Case, least time.Duration) (repeats int, allocs float64, err error) {
	for repeats = 1; repeats < 1<<24; repeats *= 2 {
		took, err := timed(c, repeats)
		if err != nil {
			return 0, 0, err
		}
		if took >= least {
			break
		}
	}
	allocs, err = allocated(c)
	return repeats, allocs, err
}

// allocated counts allocations, the least of three runs: the runtime itself
// allocates now and then.
func allocated(c Case) (float64, error) {
	least := uint64(1<<64 - 1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := c.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w", c.Name, err)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	return float64(least) / float64(c.Ops), nil
}

func timed(c Case, repeats int) (time.Duration, error) {
	start := CPU()
	for range repeats {
		if err := c.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return CPU() - start, nil
}
