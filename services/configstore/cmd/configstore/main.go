// Command configstore runs configstore as a process of its own, or a tool for
// its operators.
package main

import (
	"os"
	"runtime/debug"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/configstore/service"
)

// heapGrowth is GOGC where the environment has none, for the service and not
// for its tools: releases leave garbage beside a small heap.
const heapGrowth = 400

func main() {
	if code, ran := service.Tool("configstore", os.Args[1:]); ran {
		os.Exit(code)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	lifecycle.Main("configstore", service.New())
}
