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

func TestTheHeapGrowsAsTheEnvironmentSays(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	t.Setenv("GOGC", "50")
	GrowHeap(400)
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("with GOGC set the heap grows by %d%%", got)
	}
	t.Setenv("GOGC", "")
	GrowHeap(400)
	if got := debug.SetGCPercent(100); got != 400 {
		t.Errorf("the heap grows by %d%%", got)
	}
}

// tuning counts how often it was to tune its process.
type tuning struct {
	Service
	times int
}

func (s *tuning) TuneProcess() { s.times++ }

func TestOnlyAServiceThatIsAloneTunesItsProcess(t *testing.T) {
	one, another := &tuning{}, &tuning{}
	tune([]Service{one, another})
	if one.times+another.times != 0 {
		t.Error("one of two tuned the process of both")
	}
	tune([]Service{one})
	if one.times != 1 {
		t.Errorf("alone it tuned its process %d times", one.times)
	}
}
