package measure

import (
	"errors"
	"strings"
	"testing"
)

func TestPrintWritesOneLineOfJSON(t *testing.T) {
	var out strings.Builder
	report := &Report{Out: &out}
	lines := []Line{
		{Bench: "rules/set-1000", Unit: "us/event", Ours: 3.14159, Peer: "expr v1.17.8", PeerValue: 912.4, Extra: []Extra{{"allocs", 0.0}, {"peers", map[string]float64{"a": 1234.5}}}},
		{Bench: "rules/velocity", Unit: "M/s", Ours: 4, Peer: "b", PeerValue: 2, Higher: true},
	}
	for _, line := range lines {
		if err := report.Print(line); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"bench":"rules/set-1000","unit":"us/event","ours":3.14,"peer":"expr v1.17.8","peer_value":912,"ratio":290,"better":"lower","allocs":0,"peers":{"a":1235}}
{"bench":"rules/velocity","unit":"M/s","ours":4,"peer":"b","peer_value":2,"ratio":2,"better":"higher"}
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestCompareTellsSlowFromQuick(t *testing.T) {
	sink := 0
	work := func(n int) func() error {
		return func() error {
			for i := range n {
				sink += i * i % 7
			}
			return nil
		}
	}
	var kept []byte
	results, err := Compare([]Case{
		{"quick", 10, work(10_000)},
		{"slow", 10, work(100_000)},
		{"wasteful", 1, func() error { kept = make([]byte, 1<<16); return nil }},
	}, Turns{Rounds: 2, Least: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if results[1].PerOp < 3*results[0].PerOp || results[0].Allocs != 0 || results[2].Allocs < 1 {
		t.Errorf("%+v, %d, %d", results, sink, len(kept))
	}
	if best := Best(results[:2]); best.Name != "slow" {
		t.Errorf("best peer is %s", best.Name)
	}
	if _, err := Compare([]Case{{"broken", 1, func() error { return errors.ErrUnsupported }}}, Turns{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a broken alternative: %v", err)
	}
}
