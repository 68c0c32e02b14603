// Command dtm is the server of DTM, a peer of the coordinator, as money/tcc
// runs it. It is a module of its own, outside the workspace, for its
// dependencies; the benchmark builds it. It listens on all interfaces.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/dtm-labs/dtm/dtmsvr/entry"
)

func main() {
	version := "v1.19.0"
	if server, _ := entry.Main(&version); server != nil {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
		<-stop
	}
}
