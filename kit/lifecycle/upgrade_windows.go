package lifecycle

import "os"

// upgradeSignal: there is none.
var upgradeSignal os.Signal
