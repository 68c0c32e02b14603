package program

import (
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

func TestKeysTellConditionsApart(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	conditions := []string{
		`any i in items (i.category == "a" or i.category == "b" or i.category == "c")`,
		`any i in items ((i.category == "a" or i.category == "b") and i.category == "c" and i.category == "d")`,
		`any i in items ((i.category == "a" or i.category == "b" or i.category == "c") and i.category == "d")`,
		`any i in items (i.category == "abcdefgh")`,
		`any i in items (i.category == "abcdefgi")`,
		`any i in items (i.category == "abcdefghabcdefgh1")`,
		`any i in items (i.category == "abcdefghxbcdefgh1")`,
		`any i in items (i.count == 1)`,
		`any i in items (i.count == -1)`,
		`any i in items (i.count == 4294967297)`,
		`all i in items (i.count == 1)`,
		`any i in items (i.price == 1.00 USD)`,
		`any i in items (i.price == 1.00 CNY)`,
		`email contains "abc"`,
		`email contains "abd"`,
		`email matches /[a-z]+x/`,
		`email matches /[a-z]+y/`,
	}
	parts := newParts(&Code{}, nil, newScratch(0, 0))
	for i, condition := range conditions {
		rule, faults := syntax.Condition(condition)
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", condition, faults)
		}
		when := check.New(schema, lists(t), nil, 1).Rule(rule).When
		for again := range 2 {
			at := parts.memos.at(mustKey(t, parts, when))
			if want := int32(again * (i + 1)); *at != want {
				t.Fatalf("%s has the value %d, want %d", condition, *at, want)
			}
			*at = int32(i + 1)
		}
	}
}

func mustKey(t *testing.T, b *parts, n *check.Node) *key {
	t.Helper()
	key, ok := b.key(n)
	if !ok {
		t.Fatal("a condition has no key")
	}
	return key
}
