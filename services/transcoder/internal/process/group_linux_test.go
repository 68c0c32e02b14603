package process

import "testing"

func FuzzStartTicks(f *testing.F) {
	f.Add("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2")
	f.Add("7 (x) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2")
	f.Fuzz(func(t *testing.T, stat string) {
		if ticks, err := startTicks(stat); err != nil && ticks != 0 {
			t.Errorf("%d with error %v", ticks, err)
		}
	})
}

func TestStartTicksSkipsANameWithParentheses(t *testing.T) {
	ticks, err := startTicks("7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2")
	if err != nil || ticks != 4242 {
		t.Errorf("got %d, %v", ticks, err)
	}
}
