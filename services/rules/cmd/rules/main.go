// Command rules runs rules alone, or a tool for rulesets.
package main

import (
	"os"
	"runtime/debug"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/rules/service"
)

// heapGrowth is GOGC where the environment has none, for the service and not for
// its tools: judging leaves no garbage, a set that is swapped in leaves the one
// before, and counters are not in Go's heap.
const heapGrowth = 400

func main() {
	if code, ran := service.Tool("rules", os.Args[1:]); ran {
		os.Exit(code)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	lifecycle.Main("rules", service.New())
}
