package rules_test

import (
	"fmt"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
)

func Example() {
	schema, err := fact.New((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor(), fact.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	program, err := rules.Compile("risk.rules", `
rule large_new "A new account begins with a large order"
  when amount > 500.00 CNY and account_age < 7d
  then review score 40 reason LARGE_NEW
rule card_testing
  when count(payment by card over 1h) > 2
  then deny score 90 reason CARD_TESTING
`, schema, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	payment := []byte(`{"amount": {"minor": 60000, "currency": "CNY"}, "card": "4242", "account_age": 3600000000}`)
	var decision rules.Decision
	for range 3 {
		if err := program.EvaluateJSON(payment, &decision, nil); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(decision.Action, decision.Score, decision.Fired[0].Reason)
	}
	// Output:
	// review 40 LARGE_NEW
	// review 40 LARGE_NEW
	// deny 130 CARD_TESTING
}

func ExampleCompile_fault() {
	schema, _ := fact.New((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor(), fact.Config{})
	_, err := rules.Compile("risk.rules", "rule large\n  when amuont > 500.00 CNY\n  then deny", schema, nil)
	fmt.Println(err)
	// Output:
	// risk.rules:2:8: error: unknown field 'amuont'
	//      2 |   when amuont > 500.00 CNY
	//        |        ^^^^^^
	//        = help: did you mean 'amount'?
}
