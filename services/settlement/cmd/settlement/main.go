// Command settlement runs the settlement service in a process of its own.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/settlement/service"
)

func main() { lifecycle.Main("settlement", service.New()) }
