package engine

import (
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	const delay, interval = 10 * time.Second, time.Minute
	t0 := time.Unix(1_700_000_000, 0)
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }
	expect := func(t *testing.T, p *plan, second int, want bool) {
		t.Helper()
		if p.due(at(second), delay, interval) != want {
			t.Errorf("due at %d s is %v", second, !want)
		}
	}
	t.Run("nothing to learn", func(t *testing.T) {
		var p plan
		p.found(at(0), 0)
		expect(t, &p, 1000, false)
	})
	t.Run("the first training waits for a pause", func(t *testing.T) {
		var p plan
		p.found(at(0), 5)
		p.found(at(8), 6)
		expect(t, &p, 12, false)
		p.found(at(13), 6)
		expect(t, &p, 18, true)
	})
	t.Run("views that never pause are learned after an interval", func(t *testing.T) {
		var p plan
		for s := range 62 {
			p.found(at(s), int64(s+1))
			expect(t, &p, s, s >= 60)
		}
	})
	t.Run("the next training waits for the interval", func(t *testing.T) {
		var p plan
		p.serves(at(0), 5)
		p.found(at(0), 5)
		expect(t, &p, 100, false)
		p.found(at(20), 7)
		expect(t, &p, 40, false)
		expect(t, &p, 60, true)
	})
	t.Run("a model of the same views ends the need", func(t *testing.T) {
		var p plan
		p.found(at(0), 5)
		p.serves(at(1), 5)
		p.found(at(2), 5)
		expect(t, &p, 1000, false)
	})
	t.Run("a failed training is tried again after the interval", func(t *testing.T) {
		var p plan
		p.found(at(0), 5)
		p.last = at(10)
		expect(t, &p, 30, false)
		expect(t, &p, 70, true)
	})
	t.Run("after a restart the model's age counts", func(t *testing.T) {
		var p plan
		p.serves(at(0), 5)
		p.found(at(500), 9)
		expect(t, &p, 505, false)
		expect(t, &p, 510, true)
	})
}
