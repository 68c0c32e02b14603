// Command rules runs rules alone.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/rules/service"
)

func main() { lifecycle.Main("rules", service.New()) }
