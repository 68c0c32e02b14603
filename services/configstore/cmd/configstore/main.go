// Command configstore runs configstore as a process of its own.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/configstore/service"
)

func main() { lifecycle.Main("configstore", service.New()) }
