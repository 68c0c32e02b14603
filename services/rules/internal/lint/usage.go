package lint

import (
	"math"
	"strings"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/program"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// maxTrials bounds how often a rule is judged on the fact of a test.
const maxTrials = 200_000

// usage reports what nothing uses.
func (l *linter) usage() {
	used := map[string]bool{}
	for _, name := range l.set.Lists {
		used[name] = true
	}
	for _, decl := range l.file.Lists {
		if !used[decl.Name.Name] {
			l.warn(unusedList, decl.Name.Span, "", "no rule uses list '@%s'", decl.Name.Name)
		}
	}
	l.given()
	l.tests()
}

// given reports fields of tests that no rule reads.
func (l *linter) given() {
	read := map[string]bool{}
	for _, rule := range l.set.Rules {
		readPaths(rule.When, map[string]string{}, read)
		if rule.CanaryBy != nil {
			read[rule.CanaryBy.String()] = true
		}
	}
	if l.schema.Time() != nil && len(l.set.Counters) > 0 {
		read[string(l.schema.Time().Name())] = true
	}
	for _, test := range l.file.Tests {
		l.unread(test.Given, "", read)
	}
}

// readPaths adds the paths of the fields that a node reads; scopes has those of
// the lists whose elements have names.
func readPaths(n *check.Node, scopes map[string]string, read map[string]bool) {
	switch x := n.Source.(type) {
	case *syntax.Path:
		if n.Op == check.Field {
			read[resolved(x, scopes)] = true
		}
	case *syntax.Window:
		if n.Op == check.Field {
			read[x.By.String()] = true
			read[x.Of.String()] = true
		}
	case *syntax.Quantifier:
		if n.Op == check.Any || n.Op == check.All {
			scopes[x.Var.Name] = resolved(x.List, scopes)
		}
	}
	for _, arg := range n.Args {
		readPaths(arg, scopes, read)
	}
}

// resolved is a path from the fact on.
func resolved(x *syntax.Path, scopes map[string]string) string {
	path := x.String()
	first, rest, more := strings.Cut(path, ".")
	list, element := scopes[first]
	switch {
	case !element:
		return path
	case more:
		return list + "." + rest
	}
	return list
}

// unread reports the fields of an object, which stands at a path, that are not
// read. What stands above or below a path that is read may matter to it.
func (l *linter) unread(object *syntax.Object, at string, read map[string]bool) {
	for _, field := range object.Fields {
		key, ok := field.Key.(*syntax.Path)
		if !ok {
			continue
		}
		path := at + key.String()
		inner := objects(field.Value)
		if len(inner) > 0 && !read[path] {
			for _, one := range inner {
				l.unread(one, path+".", read)
			}
			continue
		}
		if !matters(path, read) {
			l.inform(unusedGiven, key.Span, "", "no rule reads '%s'", path)
		}
	}
}

// objects are the objects that a value is or holds.
func objects(value syntax.Expr) []*syntax.Object {
	switch x := value.(type) {
	case *syntax.Object:
		if len(x.Fields) > 0 {
			return []*syntax.Object{x}
		}
	case *syntax.Array:
		var all []*syntax.Object
		for _, elem := range x.Elems {
			all = append(all, objects(elem)...)
		}
		return all
	}
	return nil
}

func matters(path string, read map[string]bool) bool {
	for known := range read {
		if known == path || strings.HasPrefix(known, path+".") || strings.HasPrefix(path, known+".") {
			return true
		}
	}
	return false
}

// tests reports rules that fire in no test, where there are tests at all.
func (l *linter) tests() {
	if len(l.set.Tests) == 0 {
		return
	}
	fired := map[string]bool{}
	for _, test := range l.set.Tests {
		for _, name := range test.Because {
			fired[name.Name] = true
		}
	}
	if len(l.set.Tests)*len(l.set.Rules) <= maxTrials {
		l.try(fired)
	}
	for _, rule := range l.set.Rules {
		if !fired[rule.Name.Name] {
			l.inform(untested, rule.Name.Span, "", "rule '%s' fires in no test", rule.Name.Name)
		}
	}
}

// try judges the rules that are not yet known to fire on the facts of tests.
func (l *linter) try(fired map[string]bool) {
	frame := program.NewFrame(l.set.Addrs)
	conditions := map[string]program.Cond{}
	for _, rule := range l.set.Rules {
		if name := rule.Name.Name; !fired[name] {
			conditions[name] = program.Compile(rule.When)
		}
	}
	for _, test := range l.set.Tests {
		if err := l.set.Layout.Decode(test.Fact, &frame.Record); err != nil {
			continue
		}
		for _, counter := range l.set.Counters {
			first(frame, counter)
		}
		for slot, value := range test.Windows {
			frame.Set(slot, value)
		}
		for name, holds := range conditions {
			if holds(frame) {
				fired[name] = true
				delete(conditions, name)
			}
		}
		frame.Reset()
	}
}

// first sets what a counter says of the first fact that it counts.
func first(frame *program.Frame, counter *check.Counter) {
	if !frame.Record.Slots[counter.By.Slot].OK {
		return
	}
	value := fact.Slot{N: 1, OK: true}
	if counter.Of != nil {
		if value = frame.Record.Slots[counter.Of.Slot]; !value.OK {
			return
		}
	}
	for _, output := range counter.Outputs {
		switch {
		case output.Measure == check.Count || output.Measure == check.Distinct:
			frame.Set(output.Slot, fact.Slot{N: 1, OK: true})
		case output.Type.Kind == fact.Float:
			frame.Set(output.Slot, fact.Slot{N: int64(math.Float64bits(float64(value.N))), OK: true})
		default:
			frame.Set(output.Slot, value)
		}
	}
}
