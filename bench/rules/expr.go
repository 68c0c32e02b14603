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
// map, whose variables are boxed ahead; programs compiled once; one VM used
// again.
func compileExpr(rules []Rule, events []Event) (Set, error) {
	return compileExprFor(rules, events, func(e *Event) any { return exprEnv(e) })
}

// compileExprStruct has the events as structs, which is more usual and slower:
// each variable that is read is reflected on and boxed.
func compileExprStruct(rules []Rule, events []Event) (Set, error) {
	return compileExprFor(rules, events, func(e *Event) any { return exprStruct(e) })
}

func compileExprFor(rules []Rule, events []Event, form func(*Event) any) (Set, error) {
	envs := make([]any, len(events))
	for i := range events {
		envs[i] = form(&events[i])
	}
	programs, err := exprPrograms(rules, form(&Event{}))
	if err != nil {
		return nil, err
	}
	machine := &vm.VM{}
	return &singles{count: len(rules), events: len(events), holds: func(rule, event int) (bool, error) {
		out, err := machine.Run(programs[rule], envs[event])
		holds, _ := out.(bool)
		return holds, err
	}}, nil
}

func exprPrograms(rules []Rule, sample any) ([]*vm.Program, error) {
	cards := stolenCards()
	within := inCIDR()
	options := []expr.Option{
		expr.Env(sample), expr.AsBool(),
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

// exprFact is an event as a struct.
type exprFact struct {
	Amount      int         `expr:"amount"`
	Fee         int         `expr:"fee"`
	Card        string      `expr:"card"`
	IP          netip.Addr  `expr:"ip"`
	Email       string      `expr:"email"`
	Device      string      `expr:"device"`
	Merchant    string      `expr:"merchant"`
	Channel     string      `expr:"channel"`
	At          int         `expr:"at"`
	AccountAge  int         `expr:"account_age"`
	PaidOrders  int         `expr:"paid_orders"`
	Refunds     int         `expr:"refunds"`
	Failed      int         `expr:"failed"`
	Risk        float64     `expr:"risk"`
	Is3DS       bool        `expr:"is_3ds"`
	CardCount   int         `expr:"card_count"`
	DeviceCount int         `expr:"device_count"`
	DeviceTotal int         `expr:"device_total"`
	Billing     exprAddress `expr:"billing"`
	Shipping    exprAddress `expr:"shipping"`
	Items       []exprItem  `expr:"items"`
}

func exprStruct(e *Event) *exprFact {
	f := &exprFact{
		Amount: e.Amount, Fee: e.Fee, Card: e.Card, IP: e.IP, Email: e.Email, Device: e.Device, Merchant: e.Merchant,
		Channel: e.Channel, At: e.At, AccountAge: e.AccountAge, PaidOrders: e.PaidOrders, Refunds: e.Refunds, Failed: e.Failed,
		Risk: e.Risk, Is3DS: e.Is3DS, CardCount: e.CardCount, DeviceCount: e.DeviceCount, DeviceTotal: e.DeviceTotal,
		Billing: exprAddress(e.Billing), Shipping: exprAddress(e.Shipping),
	}
	for _, item := range e.Items {
		f.Items = append(f.Items, exprItem(item))
	}
	return f
}
