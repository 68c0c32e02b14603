package differential

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
)

// verdicts are what a language says of each expression on each fact.
type verdicts [][]bool

// judgeOurs compiles all expressions as one ruleset.
func judgeOurs(nodes []*node, facts []element) (verdicts, error) {
	desc, err := factDescriptor()
	if err != nil {
		return nil, err
	}
	schema, err := fact.New(desc, fact.Config{})
	if err != nil {
		return nil, err
	}
	var source strings.Builder
	for i, n := range nodes {
		fmt.Fprintf(&source, "rule r%d when %s then review\n", i, n.write(ours))
	}
	program, err := rules.Compile("differential", source.String(), schema, &rules.Options{Budget: 1 << 60})
	if err != nil {
		return nil, err
	}
	result := make(verdicts, len(nodes))
	for i := range result {
		result[i] = make([]bool, len(facts))
	}
	var decision rules.Decision
	for i, f := range facts {
		message, err := f.message()
		if err != nil {
			return nil, err
		}
		if err := program.EvaluateJSON(message, &decision, nil); err != nil {
			return nil, err
		}
		for _, rule := range decision.Fired {
			result[rule.Line-1][i] = true
		}
	}
	return result, nil
}

// celEnv is made once.
func celEnv() (*cel.Env, error) {
	item := cel.MapType(cel.StringType, cel.DynType)
	options := []cel.EnvOption{
		ext.Math(), cel.Variable("n", item), cel.Variable("items", cel.ListType(item)),
		cel.Variable("codes", cel.ListType(cel.IntType)), cel.Variable("tags", cel.ListType(cel.StringType)),
		cel.Function("lower", cel.Overload("lower_string", []*cel.Type{cel.StringType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			return types.String(strings.ToLower(string(v.(types.String))))
		}))),
	}
	for k, names := range fields {
		for _, name := range names {
			if !strings.Contains(name, ".") {
				options = append(options, cel.Variable(name, celTypes[k]))
			}
		}
	}
	for _, op := range []string{"hour", "weekday", "day", "month"} {
		for zone, short := range zoneNames {
			options = append(options, cel.Function(op+"_"+short, cel.Overload(op+short, []*cel.Type{cel.IntType}, cel.IntType, cel.UnaryBinding(func(v ref.Val) ref.Val {
				return types.Int(calendar(op, int64(v.(types.Int)), zones[zone]))
			}))))
		}
	}
	return cel.NewEnv(options...)
}

var celTypes = map[kind]*cel.Type{
	boolean: cel.BoolType, integer: cel.IntType, decimal: cel.DoubleType, text: cel.StringType,
	amount: cel.IntType, duration: cel.IntType, instant: cel.IntType,
}

// judgeCEL takes an error of an evaluation for "does not hold".
func judgeCEL(env *cel.Env, nodes []*node, facts []element) (verdicts, error) {
	inputs := make([]map[string]any, len(facts))
	for i, f := range facts {
		inputs[i] = f.variables(func(n int64) any { return n }, mapItem)
	}
	result := make(verdicts, len(nodes))
	for i, n := range nodes {
		ast, issues := env.Compile(n.write(celLanguage))
		if issues.Err() != nil {
			return nil, fmt.Errorf("%s: %w", n.write(celLanguage), issues.Err())
		}
		program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.write(celLanguage), err)
		}
		for _, input := range inputs {
			out, _, err := program.Eval(input)
			result[i] = append(result[i], err == nil && out == types.True)
		}
	}
	return result, nil
}

func mapItem(fields map[string]any) any { return fields }

// exprItem is an element of items as expr reads it.
type exprItem struct {
	P     bool     `expr:"p"`
	I     int      `expr:"i"`
	X     float64  `expr:"x"`
	S     string   `expr:"s"`
	M     int      `expr:"m"`
	Tags  []string `expr:"tags"`
	Codes []int    `expr:"codes"`
}

func structItem(fields map[string]any) any {
	item := &exprItem{}
	item.P, _ = fields["p"].(bool)
	item.I, _ = fields["i"].(int)
	item.X, _ = fields["x"].(float64)
	item.S, _ = fields["s"].(string)
	item.M, _ = fields["m"].(int)
	item.Tags, _ = fields["tags"].([]string)
	item.Codes, _ = fields["codes"].([]int)
	return item
}

var errDivision = errors.New("division by zero")

func exprOptions() []expr.Option {
	sample := element{"items": {list: []element{{}}}}
	options := []expr.Option{
		expr.Env(sample.variables(func(n int64) any { return int(n) }, structItem)), expr.AsBool(),
		expr.Function("quotient", func(args ...any) (any, error) {
			if args[1].(int) == 0 {
				return nil, errDivision
			}
			return args[0].(int) / args[1].(int), nil
		}, new(func(int, int) int)),
	}
	for _, op := range []string{"hour", "weekday", "day", "month"} {
		for zone, short := range zoneNames {
			options = append(options, expr.Function(op+"_"+short, func(args ...any) (any, error) {
				return int(calendar(op, int64(args[0].(int)), zones[zone])), nil
			}, new(func(int) int)))
		}
	}
	return options
}

func judgeExpr(options []expr.Option, nodes []*node, facts []element) (verdicts, error) {
	inputs := make([]map[string]any, len(facts))
	for i, f := range facts {
		inputs[i] = f.variables(func(n int64) any { return int(n) }, structItem)
	}
	result, machine := make(verdicts, len(nodes)), &vm.VM{}
	for i, n := range nodes {
		program, err := expr.Compile(n.write(exprLanguage), options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.write(exprLanguage), err)
		}
		for _, input := range inputs {
			out, err := machine.Run(program, input)
			result[i] = append(result[i], err == nil && out == true)
		}
	}
	return result, nil
}

// variables is a fact as peers read it, with whole numbers and items in the
// form that suits each.
func (e element) variables(whole func(int64) any, item func(map[string]any) any) map[string]any {
	nested := map[string]any{}
	vars := map[string]any{"n": nested, "tags": e["tags"].native(text, whole), "codes": e["codes"].native(integer, whole)}
	for k, names := range fields {
		for _, name := range names {
			into, field := vars, name
			if inner, found := strings.CutPrefix(name, "n."); found {
				into, field = nested, inner
			}
			into[field] = e[name].scalar(k, whole)
		}
	}
	items := []any{}
	for _, one := range e["items"].list {
		values := map[string]any{"tags": one["tags"].native(text, whole), "codes": one["codes"].native(integer, whole)}
		for k, names := range elementFields {
			values[names[0]] = one[names[0]].scalar(k, whole)
		}
		items = append(items, item(values))
	}
	vars["items"] = typed(items)
	return vars
}

// typed gives a list of expr's items its type.
func typed(items []any) any {
	var list []*exprItem
	for _, item := range items {
		one, ok := item.(*exprItem)
		if !ok {
			return items
		}
		list = append(list, one)
	}
	return list
}

func (v value) scalar(k kind, whole func(int64) any) any {
	switch k {
	case boolean:
		return v.n != 0
	case decimal:
		return v.f
	case text:
		return v.s
	default:
		return whole(v.n)
	}
}

func (v value) native(k kind, whole func(int64) any) any {
	if k == text {
		return v.texts()
	}
	if _, small := whole(0).(int); small {
		list := []int{}
		for _, e := range v.list {
			list = append(list, int(e[""].n))
		}
		return list
	}
	list := []int64{}
	for _, e := range v.list {
		list = append(list, e[""].n)
	}
	return list
}

// judge asks all languages.
func judge(nodes []*node, facts []element) (all [languages]verdicts, err error) {
	if all[ours], err = judgeOurs(nodes, facts); err != nil {
		return all, fmt.Errorf("ours: %w", err)
	}
	env, err := celEnv()
	if err != nil {
		return all, fmt.Errorf("cel-go: %w", err)
	}
	if all[celLanguage], err = judgeCEL(env, nodes, facts); err != nil {
		return all, fmt.Errorf("cel-go: %w", err)
	}
	if all[exprLanguage], err = judgeExpr(exprOptions(), nodes, facts); err != nil {
		return all, fmt.Errorf("expr: %w", err)
	}
	return all, nil
}
