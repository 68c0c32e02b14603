//go:build unix

package lifecycle

import (
	"os"
	"syscall"
)

// upgradeSignal asks for a successor, as of nginx.
var upgradeSignal os.Signal = syscall.SIGUSR2
