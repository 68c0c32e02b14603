// Command rules runs rules alone, or a tool for rulesets.
package main

import (
	"os"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/rules/service"
)

func main() {
	if code, ran := service.Tool("rules", os.Args[1:]); ran {
		os.Exit(code)
	}
	lifecycle.Main("rules", service.New())
}
