// Command coordinator runs the coordinator service in a process of its own.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/coordinator/service"
)

func main() { lifecycle.Main("coordinator", service.New()) }
