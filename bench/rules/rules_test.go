package rules

import (
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
	for i, rule := range Singles() {
		rules := []Rule{rule}
		matches, err := Agree(rules, events, sets(t, rules, events))
		if err != nil {
			t.Errorf("%s: %v", Shapes[i].Name, err)
		}
		t.Logf("%s: %d of %d: %s", Shapes[i].Name, matches, len(events), rule.text[Ours])
	}
}

func TestEnginesAgreeOnSets(t *testing.T) {
	events := Events(64, 5)
	for name, rules := range map[string][]Rule{"generated": Generate(130, 1), "hostile": Hostile(100, 1)} {
		matches, err := Agree(rules, events, sets(t, rules, events))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %d matches", name, matches)
	}
}
