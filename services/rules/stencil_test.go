package rules

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// stencilFacts are judged by programs that must be the same.
var stencilFacts = []string{
	benchFact, `{}`, `{"card": "a", "paid_orders": 4, "ip": "10.0.0.1", "email": "ab", "amount": {"minor": 900, "currency": "CNY"}}`,
	`{"card": "b", "attempts": 9, "labels": ["x", "y"], "items": [{"category": "a", "count": 2}], "delta": 3, "device": "d", "risk": 0.9}`,
}

func knownLists(t *testing.T) *list.Registry {
	t.Helper()
	lists := &list.Registry{}
	entries, err := list.New([]string{"a", "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	lists.Set("known", entries)
	return lists
}

// bothWays compiles a source with stencils and without, and returns what is to
// be known of each program, or its faults.
func bothWays(t *testing.T, source string) (with, without string, used int) {
	t.Helper()
	schema := orderSchema(t)
	sample := make([][]byte, len(stencilFacts))
	for i, text := range stencilFacts {
		var err error
		if sample[i], err = schema.FromJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	options := &Options{Lists: knownLists(t), Counters: velocity.New(velocity.Config{}), Scope: "s", Version: "v", Budget: 1 << 40, Sample: NewSample(schema, sample)}
	compiled := func(stencils bool) string {
		p := newProgram("both", source, schema, options)
		c := newCompiler(p)
		if stencils {
			c.stencils = c.reader.Stencils()
		}
		if faults := c.read(); len(faults) > 0 {
			return newErrors("both", source, faults).Error()
		}
		if stencils {
			used = len(c.costs)
		}
		c.finish()
		var spans []int32
		for _, item := range p.items {
			spans = append(spans, item.start, item.end)
		}
		return fmt.Sprintf("%s\nindex %x, exact %v, items at %v", describeAll(p, stencilFacts), digest(p.layers[0].index), p.set.Exact, spans)
	}
	return compiled(true), compiled(false), used
}

// digest is a checksum of all that a value holds but functions and what others
// share.
func digest(v any) uint64 {
	sum := fnv.New64a()
	dump(sum, reflect.ValueOf(v), map[uintptr]bool{})
	return sum.Sum64()
}

func dump(w io.Writer, v reflect.Value, met map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*list.Ref]() || v.Type() == reflect.TypeFor[*sync.Pool]() || v.IsNil() || met[v.Pointer()] {
			return
		}
		met[v.Pointer()] = true
		dump(w, v.Elem(), met)
	case reflect.Interface:
		if !v.IsNil() {
			dump(w, v.Elem(), met)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			dump(w, v.Field(i), met)
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprint(w, v.Len(), "[")
		for i := range v.Len() {
			dump(w, v.Index(i), met)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for _, key := range keys {
			dump(w, key, met)
			dump(w, v.MapIndex(key), met)
		}
	case reflect.Func, reflect.Chan:
	default:
		fmt.Fprint(w, v, " ")
	}
}

// another returns a condition with other literals.
func another(r *rand.Rand, condition string) string {
	tokens, _ := syntax.Tokens(condition)
	var b strings.Builder
	from := int32(0)
	for _, token := range tokens {
		if token.Kind != syntax.LiteralToken || r.IntN(4) == 0 {
			continue
		}
		b.WriteString(condition[from:token.Span.Start])
		from = token.Span.End
		switch pick := r.IntN(5); token.Literal {
		case syntax.IntLit:
			b.WriteString([]string{"0", "3", "12", "1_000", "9223372036854775807"}[pick])
		case syntax.FloatLit:
			b.WriteString([]string{"0.5", "2.25", "0.0", "123456789.123456789012", "1.5"}[pick])
		case syntax.MoneyLit:
			b.WriteString([]string{"1.00 CNY", "3 CNY", "0.05 USD", "1.5 CNY", "7 JPY"}[pick])
		case syntax.DurationLit:
			b.WriteString([]string{"1h", "90m", "1h30m", "7d", "30d"}[pick])
		case syntax.StringLit:
			b.WriteString([]string{`"a"`, `"中"`, `"a\"b"`, `""`, `"Asia/Shanghai"`}[pick])
		case syntax.RegexLit:
			b.WriteString([]string{"/^a/", `/a\/b/`, "/x.*y/", "/b$/", "/[/"}[min(pick+r.IntN(2)*r.IntN(2), 4)])
		case syntax.AddressLit:
			b.WriteString([]string{"10.0.0.0/8", "10.0.0.0/9", "2001:db8::/32", "192.168.0.1", "11.0.0.0/8"}[pick])
		default:
			from = token.Span.Start
		}
	}
	return b.String() + condition[from:]
}

// alike makes a source of some rules that have few forms of conditions. Those
// that good does not like alone are left out.
func alike(r *rand.Rand, c *chooser, rules int, good func(source string) bool) string {
	var forms []string
	for range 1 + c.n(6) {
		forms = append(forms, c.cond(c.n(3), 0))
	}
	d := &draft{Rand: r}
	for range 3 {
		_, when, _ := strings.Cut(d.rule(), "when ")
		when, _, _ = strings.Cut(when, "\n")
		forms = append(forms, when)
	}
	forms = append(forms, `ip in cidr 10.0.0.0/8`, `card in ["a", "b"]`, `email matches /^a/`, `risk in 0.25..0.5`, `paid_orders in 1..4`, `session > 1h`, `amount > 1.00 CNY`)
	var b strings.Builder
	const own = "list @own = [\"a\", \"10.0.0.1\"]\n"
	b.WriteString(own)
	var text strings.Builder
	for i := range rules {
		text.Reset()
		write(&text, r, i, forms)
		if good(own + text.String()) {
			b.WriteString(text.String())
		}
	}
	return b.String()
}

// write writes a rule of some of the forms.
func write(b *strings.Builder, r *rand.Rand, i int, forms []string) {
	fmt.Fprintf(b, "rule r%d%s when ", i, []string{"", "", "\n ", " # who\n", " live", "中"}[r.IntN(6)])
	for j := range 1 + r.IntN(3) {
		if j > 0 {
			b.WriteString([]string{" and ", " and ", " and ", "\n  and ", " 且 ", " or "}[r.IntN(6)])
		}
		b.WriteString(another(r, forms[r.IntN(len(forms))]))
	}
	fmt.Fprintf(b, "%sthen %s", []string{" ", "\n  ", " # why\n", "  "}[r.IntN(4)], []string{"deny", "review score 7", "challenge score 7 reason WHY", fmt.Sprint("deny score ", i)}[r.IntN(4)])
	b.WriteString([]string{"\n", "\n", "\n\n  ", " # so\n", " "}[r.IntN(5)])
}

// broken changes some bytes of a source.
func broken(r *rand.Rand, source string) string {
	text := []byte(source)
	for range r.IntN(3) {
		at := r.IntN(len(text))
		switch r.IntN(4) {
		case 0:
			text = slices.Delete(text, at, at+1)
		case 1:
			text = slices.Insert(text, at, `"()[]/.:,-_ 0aCNY>=#`[r.IntN(20)])
		case 2:
			text[at] = `"()[]/.:,-_ 0aCNY>=#`[r.IntN(20)]
		default:
			end := min(at+r.IntN(40), len(text))
			text = slices.Insert(text, r.IntN(len(text)), slices.Clone(text[at:end])...)
		}
	}
	return string(text)
}

// TestStencilsChangeNothing compiles sources, with faults and without, with
// stencils and without them. A failure prints its seed.
func TestStencilsChangeNothing(t *testing.T) {
	schema, lists, faulty, used := orderSchema(t), knownLists(t), 0, 0
	const seeds = 40
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 11))
		data := make([]byte, 200)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		good := func(source string) bool {
			_, err := Compile("one", source, schema, &Options{Lists: lists})
			return seed%4 == 3 || err == nil
		}
		source := alike(r, &chooser{data: data}, 30, good)
		if seed%2 == 1 {
			source = broken(r, source)
		}
		with, without, n := bothWays(t, source)
		if with != without {
			t.Fatalf("seed %d: with stencils\n%s\nwithout\n%s\nof\n%s", seed, with, without, source)
		}
		if used += n; strings.Contains(with, "error:") {
			faulty++
		}
	}
	if faulty < seeds/10 || faulty > seeds*9/10 || used < seeds {
		t.Errorf("%d of %d sources had faults, the others %d stencils", faulty, seeds, used)
	}
}

// FuzzStencils is the same for sources of any form.
func FuzzStencils(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 12))
		f.Add(alike(r, &chooser{}, 6, func(string) bool { return true }))
	}
	f.Fuzz(func(t *testing.T, source string) {
		if with, without, _ := bothWays(t, source); with != without {
			t.Fatalf("with stencils\n%s\nwithout\n%s\nof\n%s", with, without, source)
		}
	})
}
