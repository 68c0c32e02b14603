package rules

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reporters are the functions that report faults of a source, and which of
// their arguments is the message.
var reporters = map[string]int{"fault": 1, "fail": 1, "unexpected": 0}

// unreachable are messages for what the parser and the checks before let
// nobody write; they are there so that a mistake of ours is no panic.
var unreachable = []string{
	"unexpected '.*'",                // an expression of a kind unknown to the checker
	"the fact cannot be encoded: .*", // strings are valid UTF-8 already
}

// limits are sources too long for a transcript. What is said about them is in
// testdata/limits.golden.
var limits = []struct{ name, source string }{
	{"string", `rule a when card == "open`},
	{"depth", "rule a when " + strings.Repeat("(", 70) + "is_3ds" + strings.Repeat(")", 70) + " then deny"},
	{"parts", "rule a when is_3ds" + strings.Repeat(" or is_3ds", 10_000) + " then deny"},
	{"doubled", "rule a when is_3ds" + strings.Repeat(" default is_3ds", 40) + " then deny"},
	{"compared", "rule a when " + strings.Repeat("(", 60) + "is_3ds" + strings.Repeat(" == is_3ds)", 60) + " then deny"},
	{"array", "rule a when paid_orders in [" + strings.Repeat("5,", 10_001) + "] then deny"},
	{"networks", "rule a when ip in cidr [" + strings.Repeat("10.0.0.0/8,", 10_001) + "] then deny"},
	{"list", "list @a = [" + strings.Repeat(`"x",`, 10_001) + "]"},
	{"entry", `list @a = ["` + strings.Repeat("x", 1025) + `"]`},
	{"fields", `test "t" given { ` + strings.Repeat("paid_orders: 5,", 10_001) + "} expect deny"},
	{"values", `test "t" given { labels: ` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + " } expect deny"},
	{"source", strings.Repeat(" ", 8<<20) + " "},
	{"items", strings.Repeat("list @a = []\n", 50_001)},
	{"name", "rule " + strings.Repeat("a", 129) + " when is_3ds then deny"},
	{"tags", "rule a tags " + strings.Repeat("x, ", 16) + "y when is_3ds then deny"},
	{"pattern", "rule a when email matches /" + strings.Repeat("a", 1001) + "/ then deny"},
	{"counters", manyCounters(201)},
	{"budget", manyAny(400)},
}

func manyCounters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "rule r%d when count(order by card over %dm) > 5 then deny\n", i, i+1)
	}
	return b.String()
}

func manyAny(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "rule r%d when any x in items (any t in x.tags (t matches /a%d.*b/)) then deny\n", i, i)
	}
	return b.String()
}

func TestLimitsAreTold(t *testing.T) {
	var told strings.Builder
	for _, limit := range limits {
		_, err := Compile(limit.name, limit.source, orderSchema(t), nil)
		var faults Errors
		if !errors.As(err, &faults) {
			t.Errorf("%s: compiled, or %v", limit.name, err)
			continue
		}
		fmt.Fprintf(&told, "%s\n", faults[0].Error())
		if faults[0].Help != "" {
			fmt.Fprintf(&told, "       = help: %s\n", faults[0].Help)
		}
	}
	const name = "testdata/limits.golden"
	if *update {
		if err := os.WriteFile(name, []byte(told.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || told.String() != string(want) {
		t.Errorf("%v: got\n%s", err, told.String())
	}
}

// TestEveryMessageHasATranscript finds each call that reports a fault, and
// looks for its message among the transcripts of errors.
func TestEveryMessageHasATranscript(t *testing.T) {
	var shown []string
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "testdata/limits.golden") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if _, message, ok := strings.Cut(line, ": error: "); ok {
				shown = append(shown, message)
			}
		}
	}
	found := 0
	for _, m := range messages(t) {
		found++
		if slices.Contains(unreachable, m.pattern) {
			continue
		}
		pattern := regexp.MustCompile("^" + m.pattern + "$")
		covered := false
		for _, message := range shown {
			covered = covered || pattern.MatchString(message)
		}
		if !covered {
			t.Errorf("%s: no transcript in testdata shows %q", m.position, m.pattern)
		}
	}
	if found < 80 {
		t.Errorf("only %d messages found: does the test still know how faults are reported?", found)
	}
}

type message struct{ pattern, position string }

// messages finds the messages of the language's packages.
func messages(t *testing.T) []message {
	t.Helper()
	var all []message
	files, err := filepath.Glob("internal/[cs]*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, "rules.go") {
		dir := filepath.Base(filepath.Dir(name))
		if strings.HasSuffix(name, "_test.go") || dir != "check" && dir != "syntax" && name != "rules.go" {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, text := range reported(n) {
				all = append(all, message{text, set.Position(n.Pos()).String()})
			}
			return true
		})
	}
	return all
}

// reported returns the patterns of the messages that a node reports.
func reported(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.CallExpr:
		selector, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		at, known := reporters[selector.Sel.Name]
		if !known || at >= len(n.Args) {
			return nil
		}
		if selector.Sel.Name == "fail" && len(n.Args) == 4 {
			at = 2 // of the lexer: begin, end, message, help
		}
		text := pattern(n.Args[at])
		if selector.Sel.Name == "unexpected" {
			text = "expected " + text + ", found .*"
		}
		return literal(text)
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Message" {
			return literal(pattern(n.Value))
		}
	case *ast.ReturnStmt: // compilePattern and its like return a message
		if len(n.Results) == 2 {
			if id, ok := n.Results[0].(*ast.Ident); ok && id.Name == "nil" && isText(n.Results[1]) {
				return literal(pattern(n.Results[1]))
			}
		}
	}
	return nil
}

// isText tells whether an expression builds a string from a literal.
func isText(x ast.Expr) bool { return strings.Trim(pattern(x), ".*") != "" }

// literal leaves out a message that comes from elsewhere.
func literal(text string) []string {
	if strings.Trim(text, ".*") == "" {
		return nil
	}
	return []string{text}
}

var verb = regexp.MustCompile(`%[a-z]`)

// pattern is a regular expression that matches what an expression builds.
func pattern(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		if x.Kind != token.STRING || err != nil {
			return ".*"
		}
		return regexp.QuoteMeta(text)
	case *ast.BinaryExpr:
		return pattern(x.X) + pattern(x.Y)
	case *ast.ParenExpr:
		return pattern(x.X)
	case *ast.CallExpr:
		if selector, ok := x.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Sprintf" {
			return verb.ReplaceAllString(pattern(x.Args[0]), ".*")
		}
	}
	return ".*"
}

// TestMessagesAreFound proves that the test above can fail.
func TestMessagesAreFound(t *testing.T) {
	const code = `package p
func f() {
	c.fault(span, "one " + name, "")
	p.fail(span, fmt.Sprintf("two %d of %s", 1, "x"), "")
	l.fail(1, 2, "three", "")
	p.unexpected("'four'", "")
	c.fault(span, err.Error(), "")
}
func g() (*T, string) { return nil, "five" + x }
var _ = Fault{Message: "six"}`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", code, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	ast.Inspect(file, func(n ast.Node) bool {
		got = append(got, reported(n)...)
		return true
	})
	want := []string{"one .*", "two .* of .*", "three", "expected 'four', found .*", "five.*", "six"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
