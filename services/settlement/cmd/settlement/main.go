// Command settlement runs the settlement service in a process of its own, or a
// tool for its operators.
package main

import (
	"os"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/settlement/service"
)

func main() {
	if code, ran := service.Tool("settlement", os.Args[1:]); ran {
		os.Exit(code)
	}
	lifecycle.Main("settlement", service.New())
}
