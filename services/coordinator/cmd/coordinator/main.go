// Command coordinator runs the coordinator service in a process of its own, or
// a tool for its operators.
package main

import (
	"os"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/coordinator/service"
)

func main() {
	if code, ran := service.Tool("coordinator", os.Args[1:]); ran {
		os.Exit(code)
	}
	lifecycle.Main("coordinator", service.New())
}
