package tool

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/lint"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/rules.md")

const reference = "../../../../docs/rules.md"

func readReference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// examples are the blocks of rules of the reference page, with their lines.
func examples(t *testing.T) map[int]string {
	t.Helper()
	page := readReference(t)
	found := map[int]string{}
	for _, at := range regexp.MustCompile("(?s)```rules\n(.*?)```").FindAllStringSubmatchIndex(page, -1) {
		found[strings.Count(page[:at[2]], "\n")] = page[at[2]:at[3]]
	}
	if len(found) < 15 {
		t.Fatalf("%s has only %d examples", reference, len(found))
	}
	return found
}

// TestReferenceExamplesRun compiles each example of the reference page and runs
// its tests, in which each rule must fire.
func TestReferenceExamplesRun(t *testing.T) {
	schema, err := fact.New(facttest.Order(), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for line, source := range examples(t) {
		program, err := rules.Compile("example", source, schema, nil)
		if err != nil {
			t.Errorf("the example at line %d:\n%v", line, err)
			continue
		}
		fired := map[string]bool{}
		for _, result := range program.Test() {
			if result.Failure != "" {
				t.Errorf("the example at line %d: %q: %s", line, result.Name, result.Failure)
			}
			for _, rule := range slices.Concat(result.Decision.Fired, result.Decision.Shadow) {
				fired[rule.Name] = true
			}
		}
		for _, rule := range program.Rules() {
			if !fired[rule.Name] {
				t.Errorf("the example at line %d: rule %s fires in no test", line, rule.Name)
			}
		}
	}
}

// construct collects what examples use.
type constructs struct {
	words, signs, units, functions, literals, sets map[string]bool
}

func used(t *testing.T) constructs {
	t.Helper()
	c := constructs{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	units := regexp.MustCompile(`[a-z]+`)
	for line, source := range examples(t) {
		tokens, _ := syntax.Tokens(source)
		for _, token := range tokens {
			switch {
			case token.Word != "" && token.Text == token.Word:
				c.words[token.Word] = true
			case token.Kind == syntax.SignToken:
				c.signs[token.Text] = true
			case token.Kind == syntax.LiteralToken:
				c.literals[fmt.Sprint(token.Literal)] = true
				if token.Literal == syntax.DurationLit {
					for _, unit := range units.FindAllString(token.Text, -1) {
						c.units[unit] = true
					}
				}
			}
		}
		file, faults := syntax.Parse(source)
		if len(faults) > 0 {
			t.Fatalf("the example at line %d: %v", line, faults)
		}
		for _, rule := range file.Rules {
			c.visit(rule.When)
		}
	}
	c.literals[fmt.Sprint(syntax.BoolLit)] = c.words["true"] && c.words["false"] // names to the lexer
	return c
}

// visit collects functions and the forms of `in`.
func (c constructs) visit(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.Logic:
		for _, term := range x.Terms {
			c.visit(term)
		}
	case *syntax.Binary:
		c.visit(x.X)
		c.visit(x.Y)
	case *syntax.Not:
		c.visit(x.X)
	case *syntax.Neg:
		c.sets["-x"] = true
		c.visit(x.X)
	case *syntax.Paren:
		c.visit(x.X)
	case *syntax.Missing:
		c.visit(x.X)
	case *syntax.Quantifier:
		c.visit(x.Body)
	case *syntax.Call:
		c.functions[x.Func.Name] = true
		for _, arg := range x.Args {
			c.visit(arg)
		}
	case *syntax.Window:
		c.functions[x.Func.Name+" by"] = true
	case *syntax.In:
		c.visit(x.X)
		form := fmt.Sprintf("in %T", x.Set)
		if cidr, ok := x.Set.(*syntax.CIDR); ok {
			form = fmt.Sprintf("in %T, many %v", x.Set, cidr.Many)
		}
		c.sets[form] = true
		if x.Not {
			c.sets["not in"] = true
		}
	}
}

// TestReferenceHasEveryConstruct fails when a construct has no example.
func TestReferenceHasEveryConstruct(t *testing.T) {
	c := used(t)
	page := readReference(t)
	for _, keyword := range syntax.Keywords() {
		if !c.words[keyword.English] {
			t.Errorf("keyword %s has no example", keyword.English)
		}
		if !strings.Contains(page, keyword.Chinese) {
			t.Errorf("keyword %s is not on the page", keyword.Chinese)
		}
	}
	for _, operator := range syntax.Operators() {
		if !c.signs[operator] && !c.words[operator] {
			t.Errorf("operator %s has no example", operator)
		}
	}
	for _, unit := range syntax.Units() {
		if !c.units[unit] {
			t.Errorf("unit %s has no example", unit)
		}
	}
	for _, fn := range check.Functions() {
		name := fn.Name
		if fn.Velocity {
			name += " by"
		}
		if !c.functions[name] {
			t.Errorf("function %s has no example", name)
		}
	}
	for kind := syntax.IntLit; kind <= syntax.AddressLit; kind++ {
		if !c.literals[fmt.Sprint(kind)] {
			t.Errorf("form %d of literals has no example", kind)
		}
	}
	for _, form := range []string{
		"in *syntax.Array", "in *syntax.Range", "in *syntax.NamedList", "in *syntax.CIDR, many false", "in *syntax.CIDR, many true",
		"in *syntax.Path", "not in", "-x",
	} {
		if !c.sets[form] {
			t.Errorf("form %s has no example", form)
		}
	}
}

// TestReferenceTables compares the tables of the page with what they are made of.
func TestReferenceTables(t *testing.T) {
	page := readReference(t)
	var keywords, findings strings.Builder
	keywords.WriteString("| | | | |\n|---|---|---|---|\n")
	for i, keyword := range syntax.Keywords() {
		name := "`" + keyword.English + "`"
		if keyword.Reserved {
			name += " (reserved)"
		}
		fmt.Fprintf(&keywords, "| %s | `%s` ", name, keyword.Chinese)
		if i%2 == 1 || i == len(syntax.Keywords())-1 {
			keywords.WriteString("|\n")
		}
	}
	findings.WriteString("| | |\n|---|---|\n")
	for _, c := range lint.Checks() {
		fmt.Fprintf(&findings, "| `%s` | %s |\n", c.Name, c.About)
	}
	want := page
	for name, table := range map[string]string{"keywords": keywords.String(), "findings": findings.String()} {
		between := regexp.MustCompile("(?s)<!-- " + name + " -->\n.*?<!-- /" + name + " -->")
		want = between.ReplaceAllString(want, "<!-- "+name+" -->\n"+table+"<!-- /"+name+" -->")
	}
	if *update {
		if err := os.WriteFile(reference, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if want != page {
		t.Error("the tables are not up to date; run the test with -update")
	}
}

// TestReferenceNamesTheFactsThatItUses compares the message on the page with the
// one that the examples are compiled for.
func TestReferenceNamesTheFactsThatItUses(t *testing.T) {
	_, block, _ := strings.Cut(readReference(t), "```proto\n")
	block, _, _ = strings.Cut(block, "```")
	declared := regexp.MustCompile(`(optional |repeated )?([\w.]+) (\w+) = (\d+);`)
	messages := regexp.MustCompile(`(?s)message (\w+) \{(.*?)\}`)
	found := 0
	for _, m := range messages.FindAllStringSubmatch(block, -1) {
		descriptor := facttest.Order().ParentFile().Messages().ByName(protoreflect.Name(m[1]))
		if descriptor == nil {
			t.Fatalf("there is no message %s", m[1])
		}
		for _, f := range declared.FindAllStringSubmatch(m[2], -1) {
			field := descriptor.Fields().ByName(protoreflect.Name(f[3]))
			if field == nil || fmt.Sprint(field.Number()) != f[4] || field.IsList() != (f[1] == "repeated ") || field.HasOptionalKeyword() != (f[1] == "optional ") {
				t.Errorf("%s.%s is declared otherwise than it is", m[1], f[3])
			}
			found++
		}
	}
	if found < 25 {
		t.Errorf("only %d fields found", found)
	}
}
