package rollout

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules/internal/facttest"
)

var epoch = time.UnixMicro(0)

func TestAShareIsStableAndGrows(t *testing.T) {
	const values = 20_000
	for _, share := range []uint32{10_000, 50_000, 500_000} {
		in := 0
		for i := range values {
			value := fmt.Append(nil, "viewer-", i)
			if Chosen("payments", value, share) {
				in++
				if !Chosen("payments", value, share+40_000) {
					t.Fatalf("viewer-%d is in at %d ppm and out at %d", i, share, share+40_000)
				}
			}
		}
		if want := values * int(share) / 1_000_000; in < want*8/10 || in > want*12/10 {
			t.Errorf("%d ppm chose %d of %d", share, in, values)
		}
	}
	if Chosen("payments", []byte("x"), 0) || !Chosen("payments", []byte("x"), 1_000_000) {
		t.Error("none and all are not exact")
	}
}

func TestKeyFindsAFieldInWireBytes(t *testing.T) {
	message := facttest.Order()
	field := func(name string) protowire.Number { return message.Fields().ByName(protoreflect.Name(name)).Number() }
	key, err := NewKey(message, "ip")
	if err != nil {
		t.Fatal(err)
	}
	fact := protowire.AppendTag(nil, 1000, protowire.VarintType)
	fact = protowire.AppendVarint(fact, 7)
	for _, text := range []string{"10.0.0.1", "10.0.0.2"} {
		fact = protowire.AppendTag(fact, field("ip"), protowire.BytesType)
		fact = protowire.AppendString(fact, text)
	}
	if value, found := key.Value(fact); !found || string(value) != "10.0.0.2" {
		t.Errorf("got %q, %v", value, found)
	}
	for name, fact := range map[string][]byte{"absent": {}, "torn": fact[:len(fact)-1], "garbage": {0xff, 0xff}} {
		if value, found := key.Value(fact); found {
			t.Errorf("%s: got %q", name, value)
		}
	}
	for path, want := range map[string]string{"nothing": "no field", "items": "is a list", "billing": "is a message", "ip.x": "has no fields", "": "no field"} {
		if _, err := NewKey(message, path); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", path, err, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { key.Value(fact) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzKeyValue(f *testing.F) {
	key, err := NewKey(facttest.Order(), "billing.country")
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0x0a, 2, 1, 1})
	f.Fuzz(func(_ *testing.T, fact []byte) { key.Value(fact) })
}

func TestBandsNameWhatWasLeft(t *testing.T) {
	tally := func(facts, errors, denied uint64, p99 time.Duration) Tally {
		return Tally{Facts: facts, Errors: errors, Denied: denied, P99: p99}
	}
	live := tally(1000, 10, 50, 200*time.Microsecond)
	for name, test := range map[string]struct {
		bands     Bands
		candidate Tally
		want      string
	}{
		"equal":             {Bands{}, live, ""},
		"too few":           {Bands{}, tally(99, 99, 99, time.Second), ""},
		"errors":            {Bands{}, tally(1000, 25, 50, 0), "error rate 2.50%, live 1.00%"},
		"errors within":     {Bands{}, tally(1000, 19, 50, 0), ""},
		"slow":              {Bands{}, tally(1000, 0, 50, 11*time.Millisecond), "p99 latency 11ms"},
		"slower than live":  {Bands{MaxP99Percent: 150}, tally(1000, 0, 50, 320*time.Microsecond), "at most 150% of it"},
		"slow but near":     {Bands{MaxP99Percent: 101}, tally(1000, 0, 50, 299*time.Microsecond), ""},
		"denies more":       {Bands{}, tally(1000, 0, 200, 0), "deny rate 20.00%, live 5.00%, at most 10.00% apart"},
		"denies less":       {Bands{MaxDenyShiftPPM: 20_000}, tally(1000, 0, 10, 0), "deny rate 1.00%"},
		"above the ceiling": {Bands{MaxDenyPPM: 60_000}, tally(1000, 0, 70, 0), "at most 6.00%"},
		"below the floor":   {Bands{MinDenyPPM: 40_000}, tally(1000, 0, 30, 0), "at least 4.00%"},
	} {
		got := test.bands.WithDefaults().Left(test.candidate, live)
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestTheWindowSlides(t *testing.T) {
	tracker := NewTracker(Bands{Window: 10 * time.Second, MinSample: 10}, epoch)
	bad, good := Outcome{Failed: true, Verdict: 0, Took: time.Microsecond}, Outcome{Verdict: 1, Took: time.Microsecond}
	for range 9 {
		tracker.Observe(bad, good)
	}
	if tracker.Judge() != "" || tracker.Enough() {
		t.Fatal("judged by too few facts")
	}
	tracker.Turn(epoch.Add(12 * time.Second))
	for range 100 {
		tracker.Observe(good, good)
	}
	r := tracker.Report()
	if r.CandidateWindow.Facts != 100 || r.CandidateWindow.Errors != 0 || r.Candidate.Facts != 109 || r.Candidate.Errors != 9 || r.Changes[1][0] != 9 {
		t.Errorf("got %+v", r)
	}
	if reason := tracker.Judge(); reason != "" || !tracker.Enough() {
		t.Errorf("what has left the window counts: %s", reason)
	}
	for range 100 {
		tracker.Observe(bad, good)
	}
	if reason := tracker.Judge(); reason == "" {
		t.Error("half of the facts fail, and no band is left")
	}
	tracker.Turn(epoch.Add(time.Hour))
	if tracker.Judge() == "" || tracker.Tripped() == "" {
		t.Error("a band that was left is forgotten")
	}
	if facts := tracker.Report().CandidateWindow.Facts; facts != 0 {
		t.Errorf("%d facts in a window of an hour ago", facts)
	}
}

func TestPercentileIsWithinAQuarter(t *testing.T) {
	for _, took := range []time.Duration{1, 90, 1500, 20 * time.Microsecond, 3 * time.Millisecond, 2 * time.Second} {
		tracker := NewTracker(Bands{}, epoch)
		for range 1000 {
			tracker.Observe(Outcome{Took: took}, Outcome{Took: took / 2})
		}
		if p99 := tracker.Report().Candidate.P99; p99 < took || p99 > max(took, 4)*5/4+1 {
			t.Errorf("p99 of %v is %v", took, p99)
		}
	}
}

func TestNoObservationIsLostWhileTheWindowTurns(t *testing.T) {
	tracker := NewTracker(Bands{Window: time.Second}, epoch)
	var observers, turner sync.WaitGroup
	stop := make(chan struct{})
	turner.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				// Slower than the window: an observer never holds a cell that left it.
				tracker.Turn(epoch.Add(time.Duration(min(i, 9)) * 100 * time.Millisecond))
				tracker.Report()
			}
		}
	})
	for range 4 {
		observers.Go(func() {
			for range 5000 {
				tracker.Observe(Outcome{Verdict: 4, Denied: true}, Outcome{Verdict: 1})
			}
		})
	}
	observers.Wait()
	close(stop)
	turner.Wait()
	if r := tracker.Report(); r.Candidate.Facts != 20_000 || r.Changes[1][4] != 20_000 || r.Candidate.Denied != 20_000 {
		t.Errorf("got %+v", r.Candidate)
	}
	o := Outcome{Took: time.Microsecond}
	if n := testing.AllocsPerRun(100, func() { tracker.Observe(o, o) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSlowCandidatesAreSpared(t *testing.T) {
	tracker := NewTracker(Bands{}, epoch)
	tracker.Slow(time.Millisecond, epoch)
	if tracker.Spared(epoch) {
		t.Error("spared for a millisecond")
	}
	tracker.Slow(time.Second, epoch)
	if !tracker.Spared(epoch.Add(time.Millisecond)) || tracker.Spared(epoch.Add(slowPause)) {
		t.Error("not spared for the pause")
	}
	if skipped := tracker.Report().Skipped; skipped != 1 {
		t.Errorf("%d skipped", skipped)
	}
}

func TestLabelsOfTheRequestComeFirst(t *testing.T) {
	plan := Plan{Labels: map[string]string{"zone": "eu", "ring": "early"}}
	replica := map[string]string{"zone": "eu", "ring": "late"}
	for _, test := range []struct {
		request map[string]string
		want    bool
	}{{nil, false}, {map[string]string{"ring": "early"}, true}, {map[string]string{"ring": "early", "zone": "us"}, false}} {
		if got := plan.Matches(test.request, replica); got != test.want {
			t.Errorf("%v: %v", test.request, got)
		}
	}
	if (&Plan{}).Matches(nil, replica) {
		t.Error("a plan without labels matches")
	}
}
