package program

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestPowersAreNearlyThose(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	for range 10000 {
		likely, each := clampLikely(r.Float64()), 16*r.Float64()
		got, want := power(likely, each), math.Pow(likely, each)
		if math.Abs(got-want) > 1e-4*want {
			t.Fatalf("seed %d: %v of %v is %v, want %v", seed, each, likely, got, want)
		}
	}
	if got := power(0.0005, 1000); got != 0 {
		t.Errorf("the power of what hardly holds is %v, want 0", got)
	}
}
