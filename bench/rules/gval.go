package rules

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/Knetic/govaluate"
	"github.com/PaesslerAG/gval"
)

// looseVariables are the variables for engines that calculate with float64
// only. Lists are behind a pointer: these engines have no tests over lists,
// functions of the host do that for them.
func looseVariables(e *Event) map[string]any {
	vars := map[string]any{"items": &e.Items}
	for _, v := range variables {
		value := v.value(e)
		if n, ok := value.(int); ok {
			value = float64(n)
		}
		vars[v.name] = value
	}
	return vars
}

// looseFunctions are what the host gives to those engines.
func looseFunctions() map[string]func(args ...any) (any, error) {
	cards, within := stolenCards(), inCIDR()
	return map[string]func(args ...any) (any, error){
		"listed": func(args ...any) (any, error) { _, ok := cards[args[0].(string)]; return ok, nil },
		"in_cidr": func(args ...any) (any, error) {
			return within(args[0].(netip.Addr), args[1].(string)), nil
		},
		"hour": func(args ...any) (any, error) { return float64(hourOf(int(args[0].(float64)))), nil },
		"starts_with": func(args ...any) (any, error) {
			return strings.HasPrefix(args[0].(string), args[1].(string)), nil
		},
		"ends_with": func(args ...any) (any, error) {
			return strings.HasSuffix(args[0].(string), args[1].(string)), nil
		},
		"any_item": func(args ...any) (any, error) {
			category, price := args[1].(string), int(args[2].(float64))
			return slices.ContainsFunc(*args[0].(*[]Item), func(i Item) bool { return i.Category == category && i.Price > price }), nil
		},
		"all_items": func(args ...any) (any, error) {
			quantity, price := int(args[1].(float64)), int(args[2].(float64))
			return !slices.ContainsFunc(*args[0].(*[]Item), func(i Item) bool { return i.Quantity < quantity || i.Price >= price }), nil
		},
	}
}

func compileGval(rules []Rule, events []Event) (Set, error) {
	language := gval.Full()
	for name, f := range looseFunctions() {
		language = gval.NewLanguage(language, gval.Function(name, f))
	}
	params := make([]map[string]any, len(events))
	for i := range events {
		e := &events[i]
		params[i] = looseVariables(e)
		params[i]["billing"] = map[string]any{"country": e.Billing.Country, "city": e.Billing.City}
		params[i]["shipping"] = map[string]any{"country": e.Shipping.Country, "city": e.Shipping.City}
	}
	programs := make([]gval.Evaluable, len(rules))
	for i, rule := range rules {
		var err error
		if programs[i], err = language.NewEvaluable(rule.text[Gval]); err != nil {
			return nil, fmt.Errorf("%s: %w", rule.text[Gval], err)
		}
	}
	ctx := context.Background()
	return &singles{count: len(rules), events: len(events), holds: func(rule, event int) (bool, error) {
		out, err := programs[rule](ctx, params[event])
		holds, _ := out.(bool)
		return holds, err
	}}, nil
}

func compileGovaluate(rules []Rule, events []Event) (Set, error) {
	functions := map[string]govaluate.ExpressionFunction{}
	for name, f := range looseFunctions() {
		functions[name] = f
	}
	params := make([]govaluate.MapParameters, len(events))
	for i := range events {
		e := &events[i]
		params[i] = looseVariables(e)
		params[i]["billing_country"], params[i]["billing_city"] = e.Billing.Country, e.Billing.City
		params[i]["shipping_country"] = e.Shipping.Country
	}
	programs := make([]*govaluate.EvaluableExpression, len(rules))
	for i, rule := range rules {
		var err error
		if programs[i], err = govaluate.NewEvaluableExpressionWithFunctions(rule.text[Govaluate], functions); err != nil {
			return nil, fmt.Errorf("%s: %w", rule.text[Govaluate], err)
		}
		programs[i].ChecksTypes = false
	}
	return &singles{count: len(rules), events: len(events), holds: func(rule, event int) (bool, error) {
		out, err := programs[rule].Eval(params[event])
		holds, _ := out.(bool)
		return holds, err
	}}, nil
}
