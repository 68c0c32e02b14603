// Command coordinator runs the coordinator service in a process of its own, or
// a tool for its operators.
package main

import (
	"os"
	"runtime/debug"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/coordinator/service"
)

// heapGrowth is GOGC where the environment has none. What a transaction leaves
// is garbage beside a small heap: collecting it four times less often saves an
// eighth of the processor time, for some tens of megabytes.
const heapGrowth = 400

func main() {
	if code, ran := service.Tool("coordinator", os.Args[1:]); ran {
		os.Exit(code)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	lifecycle.Main("coordinator", service.New())
}
