package rules

import "testing"

// Bodies of loops that differ in their parentheses alone are judged each on its own,
// though what one comes to is remembered for others.
func TestBodiesThatDifferInParenthesesAreJudgedApart(t *testing.T) {
	source := `rule a when any i in items ((i.category == "a" or i.category == "b") and i.count == 3 and i.category == "d") then deny
rule b when any i in items ((i.category == "a" or i.category == "b" or i.count == 3) and i.category == "d") then deny
`
	program, err := Compile("r", source, orderSchema(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	var d Decision
	if err := program.EvaluateJSON([]byte(`{"items": [{"category": "d", "count": 3}]}`), &d, nil); err != nil {
		t.Fatal(err)
	}
	if len(d.Fired) != 1 || d.Fired[0].Name != "b" {
		t.Errorf("%s", describe(&d))
	}
}
