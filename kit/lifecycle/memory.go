package lifecycle

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// heapShare is how much of what its container allows the process lets Go have. The
// rest is for what Go does not see, such as the pages of SQLite.
const heapShare = 0.75

// boundMemory has Go collect garbage before the process reaches its container's limit
// of memory, however much the heap may grow by GOGC. GOMEMLIMIT goes before it.
func boundMemory(limit memlimit.Provider) error {
	_, err := memlimit.SetGoMemLimitWithOpts(
		memlimit.WithRatio(heapShare), memlimit.WithProvider(limit), memlimit.WithLogger(slog.New(slog.DiscardHandler)))
	return err
}

// GrowHeap has garbage collected when the heap has grown by so many percent of what
// lives, as GOGC does, which goes before it.
func GrowHeap(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
