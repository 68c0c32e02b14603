package program

import (
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata" // zones must not depend on the machine
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
