// Command transcoder runs the transcoder alone.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/transcoder/service"
)

func main() { lifecycle.Main("transcoder", service.New()) }
