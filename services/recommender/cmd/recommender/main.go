// Command recommender runs the recommender alone.
package main

import (
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/services/recommender/service"
)

func main() { lifecycle.Main("recommender", service.New()) }
