package rules

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// manyRules is a source of so many rules that its builder takes its scratch from
// others.
func manyRules(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 13))
	var b strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&b, "rule number_%d\n  when paid_orders in %d..%d and card in [\"c%d\", \"c%d\"] and email matches /^[a-z]+%d@shop%d[.]example$/\n",
			i, r.IntN(9), 9+r.IntN(90), r.IntN(300), r.IntN(300), r.IntN(9), r.IntN(20))
		fmt.Fprintf(&b, "  and (amount > %d.00 CNY or attempts >= %d) and any item in items (item.category == \"k%d\" and item.count > %d)\n  then review score %d reason WHY\n",
			r.IntN(9000), r.IntN(20), r.IntN(9), r.IntN(9), r.IntN(9))
	}
	return b.String()
}

// TestBuildersShareNoMemory compiles large sets one after the other and at once:
// no program is changed by those made behind it, and none differs from the first
// one of its source.
func TestBuildersShareNoMemory(t *testing.T) {
	schema := orderSchema(t)
	sources := [...]string{manyRules(1), manyRules(2)}
	compiled := func(i int) *Program {
		p, err := Compile("set", sources[i], schema, nil)
		if err != nil {
			t.Error(err)
			return &Program{layers: []layer{{}}}
		}
		return p
	}
	var first [len(sources)]*Program
	var want [len(sources)]uint64
	for i := range first {
		first[i] = compiled(i)
		want[i] = digest(first[i].layers[0].index)
	}
	var compiling sync.WaitGroup
	for i := range 4 * len(sources) {
		compiling.Go(func() {
			if which := i % len(sources); digest(compiled(which).layers[0].index) != want[which] {
				t.Errorf("set %d is another one when it is compiled beside others", which)
			}
		})
	}
	compiling.Wait()
	for i, p := range first {
		if digest(p.layers[0].index) != want[i] {
			t.Errorf("set %d was changed by those compiled behind it", i)
		}
	}
}
