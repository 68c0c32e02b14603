package program

import (
	"slices"
	"testing"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// What the begin or the end of a text tells is not looked for in all of it, too.
func TestPiecesAreAskedWhereEdgesTellLess(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pattern string
		want    []facetKind
	}{
		{`[0-9]+@(gmail|qq)[.]com$`, []facetKind{bySuffix}},
		{`^[a-z]+7@gmail[.]com$`, []facetKind{bySuffix}},
		{`^promo[0-9]+`, []facetKind{byPrefix}},
		{`(promo|bot)[0-9]*7`, []facetKind{byFragment}},
		{`(promo|bot)[0-9]*7[0-9]?@`, []facetKind{byCloser}},
		{`^a[0-9]+promo[0-9]`, []facetKind{byPrefix, byFragment}},
	} {
		file, faults := syntax.Parse("rule a when email matches /" + c.pattern + "/ then deny")
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", c.pattern, faults)
		}
		set, faults := check.Check(file, schema, lists(t))
		if len(faults) > 0 {
			t.Fatalf("%s: %+v", c.pattern, faults)
		}
		builder := NewBuilder(nil, 0, 0)
		builder.Add(0, set.Rules[0].When)
		builder.Flush()
		var got []facetKind
		for _, plan := range builder.order {
			got = append(got, plan.key.kind)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s asks facets %v, want %v", c.pattern, got, c.want)
		}
	}
}

func TestEqualTextsHaveOnePiece(t *testing.T) {
	g, base := &fragments{}, make([]uint64, blockWords)
	for position := range int32(6) {
		g.add([]string{"promo", "promote", "giftcards"}[position%3], position)
	}
	if len(g.of) != 3 {
		t.Errorf("three texts have %d pieces", len(g.of))
	}
	for text, want := range map[string]uint64{"a promo": 0b001001, "promoted": 0b011011, "giftcards": 0b100100, "other": 0} {
		got := g.mask(nil, nil, &fact.Slot{S: text, OK: true}, base, make([]uint64, blockWords))[0]
		if got&want != want || want == 0 && got != 0 {
			t.Errorf("%q leaves %b, want %b at least", text, got, want)
		}
	}
}
