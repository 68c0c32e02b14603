package rules

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// stolenCards is made once.
var stolenCards = sync.OnceValue(stolen)

type exprAddress struct {
	Country string `expr:"country"`
	City    string `expr:"city"`
}

type exprItem struct {
	Category string `expr:"category"`
	Price    int    `expr:"price"`
	Quantity int    `expr:"quantity"`
}

// compileExpr uses expr as its authors advise: a typed environment, here a
// map, whose variables are boxed ahead (a struct costs an allocation for each
// variable that is read), programs compiled once, one VM used again.
func compileExpr(rules []Rule, events []Event) (Set, error) {
	envs := make([]map[string]any, len(events))
	for i := range events {
		envs[i] = exprEnv(&events[i])
	}
	programs, err := exprPrograms(rules)
	if err != nil {
		return nil, err
	}
	machine := &vm.VM{}
	return &singles{count: len(rules), holds: func(rule, event int) (bool, error) {
		out, err := machine.Run(programs[rule], envs[event])
		holds, _ := out.(bool)
		return holds, err
	}}, nil
}

func exprPrograms(rules []Rule) ([]*vm.Program, error) {
	cards := stolenCards()
	within := inCIDR()
	options := []expr.Option{
		expr.Env(exprEnv(&Event{})), expr.AsBool(),
		expr.Function("listed", func(params ...any) (any, error) {
			_, ok := cards[params[0].(string)]
			return ok, nil
		}, new(func(string) bool)),
		expr.Function("in_cidr", func(params ...any) (any, error) {
			return within(params[0].(netip.Addr), params[1].(string)), nil
		}, new(func(netip.Addr, string) bool)),
		expr.Function("hour", func(params ...any) (any, error) { return hourOf(params[0].(int)), nil }, new(func(int) int)),
	}
	programs := make([]*vm.Program, len(rules))
	for i, rule := range rules {
		program, err := expr.Compile(rule.text[Expr], options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", rule.text[Expr], err)
		}
		programs[i] = program
	}
	return programs, nil
}

func exprEnv(e *Event) map[string]any {
	items := make([]*exprItem, len(e.Items))
	for i, item := range e.Items {
		items[i] = &exprItem{item.Category, item.Price, item.Quantity}
	}
	env := map[string]any{
		"billing": &exprAddress{e.Billing.Country, e.Billing.City}, "shipping": &exprAddress{e.Shipping.Country, e.Shipping.City}, "items": items,
	}
	for _, v := range variables {
		env[v.name] = v.value(e)
	}
	return env
}
