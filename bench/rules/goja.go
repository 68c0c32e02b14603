package rules

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja"
)

// gojaSet is all rules in one script, one function that writes the indexes of
// those that fired into an array and returns their number.
type gojaSet struct {
	runtime *goja.Runtime
	judge   goja.Callable
	events  []goja.Value
	out     *goja.Object
	fired   []int
	count   int64
}

// compileGoja hoists constants, and reads each field of an event once however
// many rules use it.
func compileGoja(rules []Rule, events []Event) (Set, error) {
	set := &gojaSet{runtime: goja.New()}
	if err := set.compile(rules); err != nil {
		return nil, err
	}
	for i := range events {
		set.events = append(set.events, set.object(&events[i]))
	}
	return set, nil
}

func (s *gojaSet) compile(rules []Rule) error {
	program, err := goja.Compile("rules.js", gojaSource(rules), true)
	if err != nil {
		return fmt.Errorf("goja: %w", err)
	}
	cards := make([]any, 0, listedCards)
	for card := range stolenCards() {
		cards = append(cards, card)
	}
	if err := s.runtime.Set("cards", s.runtime.NewArray(cards...)); err != nil {
		return fmt.Errorf("goja: %w", err)
	}
	within := inCIDR()
	for name, f := range map[string]func(goja.FunctionCall) goja.Value{
		"hour": func(call goja.FunctionCall) goja.Value {
			return s.runtime.ToValue(hourOf(int(call.Argument(0).ToInteger())))
		},
		"in_cidr": func(call goja.FunctionCall) goja.Value {
			return s.runtime.ToValue(within(call.Argument(0).Export().(netip.Addr), call.Argument(1).String()))
		},
	} {
		if err := s.runtime.Set(name, f); err != nil {
			return fmt.Errorf("goja: %w", err)
		}
	}
	if _, err := s.runtime.RunProgram(program); err != nil {
		return fmt.Errorf("goja: %w", err)
	}
	s.judge, _ = goja.AssertFunction(s.runtime.Get("judge"))
	s.out = s.runtime.Get("out").ToObject(s.runtime)
	return nil
}

var identifier = regexp.MustCompile(`\b[a-z_0-9]+\b`)

func gojaSource(rules []Rule) string {
	var hoisted, body strings.Builder
	used := map[string]bool{}
	for i, rule := range rules {
		hoisted.WriteString(rule.hoist)
		fmt.Fprintf(&body, "if (%s) out[n++] = %d;\n", rule.text[JS], i)
		for _, name := range identifier.FindAllString(rule.text[JS], -1) {
			used[name] = true
		}
	}
	fields := []string{}
	for _, v := range variables {
		fields = append(fields, v.name)
	}
	fields = slices.DeleteFunc(append(fields, "billing", "shipping", "items"), func(name string) bool { return !used[name] })
	stolen := ""
	if used["stolen"] {
		stolen = "const stolen = new Set(cards);\n"
	}
	return stolen + `var out = [];
function between(x, low, high) { return x >= low && x <= high; }
` + hoisted.String() + "function judge(e) {\nconst {" + strings.Join(fields, ", ") + "} = e;\nlet n = 0;\n" + body.String() + "return n;\n}\n"
}

func (s *gojaSet) object(e *Event) *goja.Object {
	o := s.runtime.NewObject()
	set := func(to *goja.Object, name string, value any) { _ = to.Set(name, value) }
	for _, v := range variables {
		set(o, v.name, v.value(e))
	}
	for name, address := range map[string]Address{"billing": e.Billing, "shipping": e.Shipping} {
		a := s.runtime.NewObject()
		set(a, "country", address.Country)
		set(a, "city", address.City)
		set(o, name, a)
	}
	items := make([]any, len(e.Items))
	for i, item := range e.Items {
		one := s.runtime.NewObject()
		set(one, "category", item.Category)
		set(one, "price", item.Price)
		set(one, "quantity", item.Quantity)
		items[i] = one
	}
	set(o, "items", s.runtime.NewArray(items...))
	return o
}

func (s *gojaSet) Judge(i int) error {
	n, err := s.judge(goja.Undefined(), s.events[i])
	if err != nil {
		return err
	}
	s.count = n.ToInteger()
	return nil
}

func (s *gojaSet) JudgeAll() error {
	for i := range s.events {
		if err := s.Judge(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *gojaSet) Fired() []int {
	s.fired = s.fired[:0]
	for i := range s.count {
		s.fired = append(s.fired, int(s.out.Get(fmt.Sprint(i)).ToInteger()))
	}
	return s.fired
}
