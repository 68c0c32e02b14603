package velocity

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// TestOpsOfARunCountAsIfAlone has keys that are new, known, empty and twice in
// one run.
func TestOpsOfARunCountAsIfAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	config := Config{Secret: []byte("s"), Clock: at(start)}
	together, alone := New(config), New(config)
	groups := [2]*Group{together.Declare("s", benchSpecs())[0], alone.Declare("s", benchSpecs())[0]}
	for n := range 200 {
		var ops, same []Op
		for range 1 + random.IntN(8) {
			e := event{at: start + int64(n)*60, key: []string{"", "a", "b", "c", strconv.Itoa(n)}[random.IntN(5)], amount: random.Int64N(900), unit: "CNY", has: true, value: "v"}
			ops, same = append(ops, opOf(together, groups[0], e, true)), append(same, opOf(alone, groups[1], e, true))
		}
		together.Run(ops)
		for i := range same {
			alone.Run(same[i : i+1])
			if ops[i].OK != same[i].OK || !slices.Equal(ops[i].Readings, same[i].Readings) {
				t.Fatalf("run %d op %d: got %v %+v, want %v %+v", n, i, ops[i].OK, ops[i].Readings, same[i].OK, same[i].Readings)
			}
		}
	}
}

// TestConcurrentRunsAreComplete counts common keys beside new ones, so that
// tables grow while others look keys up.
func TestConcurrentRunsAreComplete(t *testing.T) {
	const workers, runs = 4, 2000
	store := New(Config{Clock: at(start)})
	group := store.Declare("s", benchSpecs())[0]
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for n := range runs {
				var ops []Op
				for _, key := range []string{"common", strconv.Itoa(n), "own " + strconv.Itoa(worker*runs+n)} {
					ops = append(ops, opOf(store, group, event{at: start, key: key, amount: 1, unit: "CNY", has: true, value: "v"}, true))
				}
				store.Run(ops)
			}
		})
	}
	working.Wait()
	for key, want := range map[string]int64{"common": workers * runs, "7": workers, "own 7": 1} {
		ops := []Op{opOf(store, group, event{at: start, key: key, unit: "CNY", has: true, value: "v"}, false)}
		if store.Run(ops); !ops[0].OK || ops[0].Readings[0].Count != want || ops[0].Readings[1].Value != want {
			t.Errorf("%s: got %+v, want %d", key, ops[0].Readings[:2], want)
		}
	}
}
