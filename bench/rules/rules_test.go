package rules

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

func sets(t *testing.T, rules []Rule, events []Event) map[string]Set {
	t.Helper()
	compiled := map[string]Set{}
	for _, engine := range Engines {
		set, err := engine.Compile(rules, events)
		if err != nil {
			t.Fatalf("%s: %v", engine.Name, err)
		}
		compiled[engine.Name] = set
	}
	return compiled
}

func TestEnginesAgreeOnEachShape(t *testing.T) {
	events := Events(64, 5)
	var rules []Rule
	for i := range Shapes {
		for _, rule := range Singles(i) {
			rule.Name = fmt.Sprintf("r%d", len(rules))
			rules = append(rules, rule)
		}
	}
	if _, err := Agree(rules, events, sets(t, rules, events)); err != nil {
		t.Error(err)
	}
}

func TestEnginesAgreeOnSets(t *testing.T) {
	events := Events(32, 5)
	for name, rules := range map[string][]Rule{"generated": Generate(130, 1), "hostile": Hostile(100, 1)} {
		matches, err := Agree(rules, events, sets(t, rules, events))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d matches", name, matches)
	}
}

func TestTheSameSeedMakesTheSame(t *testing.T) {
	texts := func(rules []Rule) (all []string) {
		for _, rule := range rules {
			all = append(all, rule.text[:]...)
		}
		return all
	}
	if !slices.Equal(texts(Generate(50, 3)), texts(Generate(50, 3))) || slices.Equal(texts(Generate(50, 3)), texts(Generate(50, 4))) {
		t.Error("rules must depend on the seed and on nothing else")
	}
	if !reflect.DeepEqual(Events(20, 3), Events(20, 3)) || reflect.DeepEqual(Events(20, 3), Events(20, 4)) {
		t.Error("events must depend on the seed and on nothing else")
	}
}

func TestShareOfMatches(t *testing.T) {
	for name, test := range map[string]struct {
		rules     []Rule
		low, high float64 // of the rules
	}{"generated": {Generate(500, 1), 0.0007, 0.002}, "hostile": {Hostile(500, 1), 0.17, 0.22}} {
		matches, err := Agree(test.rules, Measured(), nil)
		share := float64(matches) / 256 / 500
		if err != nil || share < test.low || share > test.high {
			t.Errorf("%s: %.2f%% of the rules match an event: %v", name, share*100, err)
		}
	}
}

func TestADifferenceIsFound(t *testing.T) {
	events, rules := Events(64, 5), Generate(26, 1)
	compiled := sets(t, rules, events)
	rules[7].holds = func(e *Event) bool { return e.Is3DS }
	if _, err := Agree(rules, events, compiled); err == nil {
		t.Error("a rule that means something else was not found")
	}
}

// TestLargeSetsFireAsTheirRules compares the index of many rules with
// their conditions in Go.
func TestLargeSetsFireAsTheirRules(t *testing.T) {
	events := Events(150, 11)
	for seed := range uint64(2) {
		rules := slices.Concat(Generate(600, 100+seed), Hostile(50, 100+seed))
		for i := range rules {
			rules[i].Name = fmt.Sprintf("r%d", i)
		}
		set, err := compileOurs(rules, events)
		if err != nil {
			t.Fatal(err)
		}
		matches, err := Agree(rules, events, map[string]Set{"ours": set})
		if err != nil || matches < 500 {
			t.Errorf("seed %d: %d matches, %v", seed, matches, err)
		}
	}
}

func TestVelocityAgreesWithRings(t *testing.T) {
	if err := velocityAgrees(newOurCounting(false), newRingCounting()); err != nil {
		t.Error(err)
	}
}
