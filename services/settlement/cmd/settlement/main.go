// Command settlement runs the settlement service in a process of its own, or a
// tool for its operators.
package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/settlement/service"
)

// spare are processors beyond those that there are. A ledger's writer computes
// for milliseconds on end, and applies the next batch meanwhile; with a processor
// of Go's for each core, calls that are to be refused waited for either to be
// preempted. The system shares cores more finely: half of the refusals at 1.5
// times the capacity took 0.6 ms in place of 1.5 ms on two cores.
const spare = 2

// heapGrowth is GOGC where the environment has none. What a booking leaves is
// garbage beside a small heap: collecting it four times less often saves a
// tenth of the processor time, for some tens of megabytes.
const heapGrowth = 400

func main() {
	if code, ran := service.Tool("settlement", os.Args[1:]); ran {
		os.Exit(code)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spare)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	lifecycle.Main("settlement", service.New())
}
