// Command child hits a crash point three times and says so.
package main

import (
	"fmt"
	"os"

	"github.com/backlot-video/backlot/kit/crashpoint"
)

var (
	second = crashpoint.New("child/second")
	first  = crashpoint.New("child/first")
)

func main() {
	defer fmt.Println("not reached when killed")
	if len(os.Args) > 1 {
		fmt.Println(crashpoint.Enabled, crashpoint.Names())
		return
	}
	for i := range 3 {
		first.Hit()
		fmt.Println("passed", i)
		second.Hit()
	}
}
