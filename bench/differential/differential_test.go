package differential

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

var (
	expressions = flag.Int("expressions", 2000, "how many expressions are generated")
	seed        = flag.Uint64("seed", 1, "of the first batch")
)

// batch is how many expressions are one ruleset of ours.
const batch = 500

// TestEverybodyAgrees generates expressions and facts, and compares each
// verdict with the language's meaning.
func TestEverybodyAgrees(t *testing.T) {
	var mu sync.Mutex
	var total tally
	t.Run("batches", func(t *testing.T) {
		for i := range (*expressions + batch - 1) / batch {
			number := *seed + uint64(i)
			t.Run(fmt.Sprint(number), func(t *testing.T) {
				t.Parallel()
				counted := compare(t, number, min(batch, *expressions-i*batch))
				mu.Lock()
				defer mu.Unlock()
				total.add(counted)
			})
		}
	})
	t.Log(total.String())
	if total.verdicts > 0 && (total.holds*4 < total.verdicts || total.holds*4 > total.verdicts*3) {
		t.Error("the expressions say little: nearly all are true or nearly all are false")
	}
}

func compare(t *testing.T, seed uint64, count int) tally {
	r := rand.New(rand.NewPCG(seed, 0))
	g := &generator{Rand: r}
	nodes, facts := make([]*node, count), make([]element, 3)
	for i := range nodes {
		nodes[i] = g.expression()
	}
	for i := range facts {
		facts[i] = randomFact(r)
	}
	all, err := judge(nodes, facts)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	var counted tally
	for i, n := range nodes {
		for j, f := range facts {
			for l, said := range all {
				if want := holds(n, f, semantics[l]); said[i][j] != want {
					message, _ := f.message()
					t.Errorf("seed %d: %s says %v, want %v: %s\nours: %s\nfact: %s", seed, language(l), said[i][j], want, n.write(language(l)), n.write(ours), message)
				}
			}
			counted.count(n, f, all[ours][i][j], all[celLanguage][i][j], all[exprLanguage][i][j])
		}
	}
	return counted
}
