package job

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

var t0 = time.UnixMicro(1_000_000)

func TestJobThatSucceeds(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	if j.OutputPrefix != "main/v/j/" {
		t.Errorf("prefix %q", j.OutputPrefix)
	}
	steps := []func() error{
		func() error { return j.Start(t0) },
		func() error { return j.Probed(Media{Width: 2}, t0) },
		func() error { return j.Encoded(t0) },
		func() error { return j.Succeed([]Rendition{{Name: "a"}}, t0.Add(1)) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if j.State != Succeeded || j.Progress != Whole || j.Attempt != 1 || j.Source.Width != 2 || !j.Updated.Equal(t0.Add(1)) {
		t.Errorf("got %+v", j)
	}
}

func TestFailRetriesUntilAttemptsAreUsed(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	for attempt := 1; attempt <= MaxAttempts; attempt++ {
		if err := j.Start(t0); err != nil || j.Attempt != attempt {
			t.Fatalf("attempt %d: %d, %v", attempt, j.Attempt, err)
		}
		if err := j.Fail("x", true, t0); err != nil {
			t.Fatal(err)
		}
		if wait := j.Due.Sub(t0); wait != time.Duration(attempt)*retryDelay {
			t.Errorf("attempt %d: waits %s", attempt, wait)
		}
	}
	if j.State != Failed || j.Problem != "x" {
		t.Errorf("got %+v", j)
	}
}

func TestFailForGoodDoesNotRetry(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	if err := errors.Join(j.Start(t0), j.Fail("no video", false, t0)); err != nil || j.State != Failed {
		t.Errorf("got %s, %v", j.State, err)
	}
}

func TestReleaseDoesNotCount(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	for range 2 * MaxAttempts {
		if err := errors.Join(j.Start(t0), j.Release(t0)); err != nil {
			t.Fatal(err)
		}
	}
	if j.State != Queued || j.Attempt != 0 {
		t.Errorf("got %+v", j)
	}
}

func TestProgressNeverFallsNorCompletes(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	if j.Advance(5, t0) {
		t.Error("a queued job advanced")
	}
	_ = j.Start(t0)
	for _, step := range []struct{ ppm, want uint32 }{{10, 10}, {5, 10}, {10, 10}, {2 * Whole, Whole - 1}} {
		if j.Advance(step.ppm, t0); j.Progress != step.want {
			t.Errorf("advance to %d: %d, want %d", step.ppm, j.Progress, step.want)
		}
	}
}

func TestInterruptionsAreForgivenForLong(t *testing.T) {
	j := New("j", "main", "u", "v", "c", t0)
	for start := 1; start <= MaxStarts; start++ {
		if err := errors.Join(j.Start(t0), j.Interrupted(t0)); err != nil {
			t.Fatalf("start %d: %v", start, err)
		}
	}
	if j.State != Failed {
		t.Errorf("got %+v", j)
	}
}

// TestAnyOrderOfChangesKeepsTheInvariants tries random changes.
func TestAnyOrderOfChangesKeepsTheInvariants(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		j := New("j", "main", "u", "v", "c", t0)
		for range 20 {
			before := j
			var err error
			switch rng.IntN(9) {
			case 0:
				err = j.Start(t0)
			case 1:
				err = j.Probed(Media{}, t0)
			case 2:
				err = j.Encoded(t0)
			case 3:
				err = j.Succeed(nil, t0)
			case 4:
				err = j.Fail("x", rng.IntN(2) == 0, t0)
			case 5:
				err = j.Release(t0)
			case 6:
				err = j.Cancel(t0)
			case 7:
				j.Advance(rng.Uint32(), t0)
			case 8:
				err = j.Interrupted(t0)
			}
			switch {
			case err != nil && (!errors.Is(err, ErrTransition) || j.State != before.State || j.Attempt != before.Attempt):
				t.Fatalf("seed %d: %v changed %+v to %+v", seed, err, before, j)
			case before.State.Ended() && j.State != before.State:
				t.Fatalf("seed %d: %s after %s", seed, j.State, before.State)
			case (j.Progress == Whole) != (j.State == Succeeded) || j.Attempt < 0 || j.Attempt > MaxStarts:
				t.Fatalf("seed %d: %+v", seed, j)
			}
		}
	}
}
