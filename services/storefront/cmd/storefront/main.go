// Command storefront runs the storefront service in a process of its own.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/storefront/service"
)

func main() { lifecycle.Main("storefront", service.New()) }
