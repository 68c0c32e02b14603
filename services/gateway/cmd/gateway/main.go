// Command gateway runs the gateway in a process of its own.
package main

import (
	"github.com/backlot-video/backlot/console"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/gateway/service"
)

func main() { lifecycle.Main("gateway", service.New(console.Files)) }
