// Command configstore runs configstore as a process of its own, or a tool for
// its operators.
package main

import (
	"os"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/configstore/service"
)

func main() {
	if code, ran := service.Tool("configstore", os.Args[1:]); ran {
		os.Exit(code)
	}
	lifecycle.Main("configstore", service.New())
}
