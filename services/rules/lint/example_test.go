package lint_test

import (
	"fmt"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/lint"
)

func ExampleCheck() {
	schema, err := fact.New(facttest.Order(), fact.Config{}) // any protobuf message
	if err != nil {
		panic(err)
	}
	const source = `rule large
  when amount > 500.00 CNY and amount < 100.00 CNY
  then review`
	findings, err := lint.Check("risk.rules", source, schema, nil)
	if err != nil {
		panic(err)
	}
	for i := range findings {
		fmt.Println(findings[i].Rendered())
	}
	// Output:
	// risk.rules:2:32: warning: rule 'large' can never fire: 'amount > 500.00 CNY' and 'amount < 100.00 CNY' exclude each other [never-true]
	//      2 |   when amount > 500.00 CNY and amount < 100.00 CNY
	//        |                                ^^^^^^^^^^^^^^^^^^^
}
