package arena

import "testing"

func TestElementsAreZeroAndTheirOwn(t *testing.T) {
	var p Pool[int]
	for round := range 3 {
		var all []*int
		for i := range 2000 {
			element := p.Get()
			if *element != 0 {
				t.Fatalf("round %d: element %d is %d", round, i, *element)
			}
			*element = i + 1
			all = append(all, element)
			if i%100 == 0 {
				part := p.Slice(i)[:i]
				for j, value := range part {
					if value != 0 {
						t.Fatalf("round %d: %d of %d in a slice is %d", round, j, i, value)
					}
					part[j] = -1
				}
			}
		}
		for i, element := range all {
			if *element != i+1 {
				t.Fatalf("round %d: element %d became %d", round, i, *element)
			}
		}
		p.Reset()
	}
}

func TestResetTakesBlocksAgainAndKeepLeavesThem(t *testing.T) {
	var p Pool[int]
	use := func() {
		for range 4 * p.size() {
			*p.Get() = 1
		}
		p.Reset()
	}
	use()
	if allocs := testing.AllocsPerRun(10, use); allocs > 0 {
		t.Errorf("%v allocations for what was there", allocs)
	}
	kept := p.Get()
	*kept = 7
	p.Keep()
	use()
	if *kept != 7 {
		t.Error("what was kept is taken back")
	}
}

func TestFewElementsTakeLittle(t *testing.T) {
	var p Pool[[100]byte]
	p.Get()
	if len(p.block) > 8 {
		t.Errorf("the first block has %d elements", len(p.block))
	}
}
