package lifecycle

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestContainersBoundTheHeap(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for name, c := range map[string]struct {
		env   string
		limit memlimit.Provider
		want  int64
	}{
		"a limit":        {limit: memlimit.Limit(256 << 20), want: 192 << 20},
		"none":           {limit: func() (uint64, error) { return 0, memlimit.ErrNoLimit }, want: math.MaxInt64},
		"its operator's": {env: "100MiB", limit: memlimit.Limit(256 << 20), want: 100 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			if c.env != "" {
				t.Setenv("GOMEMLIMIT", c.env)
				debug.SetMemoryLimit(c.want) // as Go does when it starts
			}
			if err := boundMemory(c.limit); err != nil {
				t.Fatal(err)
			}
			if got := debug.SetMemoryLimit(-1); got != c.want {
				t.Errorf("the heap may have %d bytes, want %d", got, c.want)
			}
		})
	}
}
