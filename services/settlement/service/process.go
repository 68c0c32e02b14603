package service

import (
	"os"
	"runtime"
	"time"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/timeslice"
)

// spare are processors beyond those that there are, and turn is how long each has a
// core where others wait. A ledger's writer computes for milliseconds on end, and
// applies the next batch meanwhile. With a processor of Go's for each core, calls that
// are to be refused waited for either to be preempted; with two more and the system's
// turns 1% of them took 9 ms on two cores at 1.1 times the capacity, with these 3 to 5 ms,
// and fewer calls were late. Where a quota gives fewer processors than there are, more
// threads would only use it up sooner and wait for the next one.
const (
	spare = 6
	turn  = 100 * time.Microsecond
)

// heapGrowth is GOGC where the environment has none. What a booking leaves is
// garbage beside a small heap: collecting it eight times less often saves a
// tenth of the processor time, for some hundred megabytes under full load, and it is
// while garbage is collected that most calls wait for a processor.
const heapGrowth = 800

var _ lifecycle.Tuner = (*Service)(nil)

// TuneProcess implements lifecycle.Tuner.
func (s *Service) TuneProcess() {
	if cores := runtime.NumCPU(); os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) == cores {
		runtime.GOMAXPROCS(cores + spare)
	}
	lifecycle.GrowHeap(heapGrowth)
	_ = timeslice.Shorten(turn) // where that is not possible it does as well as it can
}
