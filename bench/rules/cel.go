package rules

import (
	"fmt"
	"net/netip"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// compileCEL uses cel-go as its authors advise: constants folded, OptOptimize,
// no cost tracking, activations made ahead of values that are cel's own.
func compileCEL(rules []Rule, events []Event) (Set, error) {
	activations := make([]cel.Activation, len(events))
	for i := range events {
		var err error
		if activations[i], err = cel.NewActivation(celVariables(&events[i])); err != nil {
			return nil, err
		}
	}
	programs, err := celPrograms(rules)
	if err != nil {
		return nil, err
	}
	return &singles{count: len(rules), events: len(events), holds: func(rule, event int) (bool, error) {
		out, _, err := programs[rule].Eval(activations[event])
		return out == types.True, err
	}}, nil
}

func celPrograms(rules []Rule) ([]cel.Program, error) {
	env, err := celEnv()
	if err != nil {
		return nil, err
	}
	programs := make([]cel.Program, len(rules))
	for i, rule := range rules {
		ast, issues := env.Compile(rule.text[CEL])
		if issues.Err() != nil {
			return nil, fmt.Errorf("%s: %w", rule.text[CEL], issues.Err())
		}
		if programs[i], err = env.Program(ast, cel.EvalOptions(cel.OptOptimize)); err != nil {
			return nil, err
		}
	}
	return programs, nil
}

func celEnv() (*cel.Env, error) {
	cards, within := stolenCards(), inCIDR()
	address := cel.MapType(cel.StringType, cel.StringType)
	options := []cel.EnvOption{
		cel.Variable("billing", address), cel.Variable("shipping", address),
		cel.Variable("items", cel.ListType(cel.MapType(cel.StringType, cel.DynType))),
		cel.Function("listed", cel.Overload("listed_string", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			_, ok := cards[string(v.(types.String))]
			return types.Bool(ok)
		}))),
		cel.Function("in_cidr", cel.Overload("in_cidr_ip", []*cel.Type{celIPType, cel.StringType}, cel.BoolType, cel.BinaryBinding(func(ip, prefix ref.Val) ref.Val {
			return types.Bool(within(ip.(celIP).Addr, string(prefix.(types.String))))
		}))),
		cel.Function("hour", cel.Overload("hour_int", []*cel.Type{cel.IntType}, cel.IntType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return types.Int(hourOf(int(v.(types.Int))))
		}))),
	}
	for _, v := range variables {
		t := cel.IntType
		switch v.value(&Event{}).(type) {
		case string:
			t = cel.StringType
		case float64:
			t = cel.DoubleType
		case bool:
			t = cel.BoolType
		case netip.Addr:
			t = celIPType
		}
		options = append(options, cel.Variable(v.name, t))
	}
	return cel.NewEnv(options...)
}

func celVariables(e *Event) map[string]any {
	items := make([]ref.Val, len(e.Items))
	for i, item := range e.Items {
		items[i] = types.NewStringInterfaceMap(types.DefaultTypeAdapter, map[string]any{
			"category": types.String(item.Category), "price": types.Int(item.Price), "quantity": types.Int(item.Quantity),
		})
	}
	vars := map[string]any{
		"items":    types.NewRefValList(types.DefaultTypeAdapter, items),
		"billing":  map[string]string{"country": e.Billing.Country, "city": e.Billing.City},
		"shipping": map[string]string{"country": e.Shipping.Country, "city": e.Shipping.City},
	}
	for _, v := range variables {
		if address, ok := v.value(e).(netip.Addr); ok {
			vars[v.name] = celIP{address}
			continue
		}
		vars[v.name] = types.DefaultTypeAdapter.NativeToValue(v.value(e))
	}
	return vars
}

// celIP is an IP address as a value of cel's.
type celIP struct{ netip.Addr }

var celIPType = cel.OpaqueType("net.IP")

func (ip celIP) ConvertToNative(reflect.Type) (any, error) { return ip.Addr, nil }
func (ip celIP) ConvertToType(ref.Type) ref.Val            { return ip }
func (ip celIP) Equal(other ref.Val) ref.Val               { return types.Bool(ip == other) }
func (ip celIP) Type() ref.Type                            { return celIPType }
func (ip celIP) Value() any                                { return ip.Addr }
