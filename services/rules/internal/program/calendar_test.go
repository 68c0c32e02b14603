package program

import (
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
)

func TestZoneTablesAgreeWithTime(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"UTC", "Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin", "Africa/Casablanca", "Asia/Gaza", "Pacific/Apia"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		z := zoneOf(location)
		for range 2000 {
			at := time.UnixMicro(random.Int64N(300*365*86_400*1_000_000) - 100*365*86_400*1_000_000)
			_, offset := at.In(location).Zone()
			if got := z.local(at.UnixMicro()) - at.Unix(); got != int64(offset) {
				t.Fatalf("%s at %v: offset %d, want %d", name, at, got, offset)
			}
		}
	}
}

// TestHoursAreFoundWithoutTheHour compares `hour(at) in low..high` with Go's clock,
// often a microsecond beside the ends of an hour.
func TestHoursAreFoundWithoutTheHour(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	whole := func(v int64) *check.Node {
		return &check.Node{Op: check.Const, Value: fact.Slot{N: v, OK: true}, Type: check.Type{Kind: fact.Int}}
	}
	for _, name := range []string{"UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Pacific/Honolulu", "Pacific/Kiritimati"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		field := &check.Node{Op: check.Field, Type: check.Type{Kind: fact.Time}}
		hour := &check.Node{Op: check.Hour, Args: []*check.Node{field}, Zone: location, Type: check.Type{Kind: fact.Int}}
		for range 4000 {
			low := random.Int64N(26) - 1
			high := low + random.Int64N(6) - 1
			within := &check.Node{Op: check.And, Args: []*check.Node{
				{Op: check.Ge, Args: []*check.Node{hour, whole(low)}}, {Op: check.Le, Args: []*check.Node{hour, whole(high)}},
			}}
			at := random.Int64N(300*365*86_400*1_000_000) - 100*365*86_400*1_000_000
			if random.IntN(2) == 0 {
				at = at/hourMicros*hourMicros + random.Int64N(3) - 1
			}
			f := NewFrame(0)
			f.Record.Slots = []fact.Slot{{N: at, OK: random.IntN(10) > 0}}
			got, refuted := Compile(within)(f), Refute(within)(f)
			h := int64(time.UnixMicro(at).In(location).Hour())
			if want := low <= h && h <= high; f.Record.Slots[0].OK && (got != want || refuted == want) || !f.Record.Slots[0].OK && (got || refuted) {
				t.Fatalf("%s: hour of %d in %d..%d: %t, refuted %t; it is %d", name, at, low, high, got, refuted, h)
			}
		}
	}
}
