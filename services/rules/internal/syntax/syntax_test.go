package syntax

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const sample = `# Night orders.
rule 高额夜间 "Large night order, new account" priority 20 live
  when amount > 500.00 CNY and hour(at, "Asia/Shanghai") in 1..4 and account_age < 7d
  then challenge score 40 reason NIGHT_NEW

rule card_testing canary 5% by user  # rare
  when count(payment by card over 1h) > 5 or distinct(card by ip over 24h) >= 3
  then deny score 90 reason CARD_TESTING

rule bad_net shadow
  when ip in list @datacenters or ip in cidr 10.0.0.0/8 and not is_3ds
  then review reason DATACENTER

rule gift_mule tags gift, mule live
  when any item in items (item.category == "giftcard" and item.price > 200.00 CNY)
    and billing.country != shipping.country
    # both must be known
    and ` + "`list`" + ` not in ["a", "b\u{4e2d}"]
    and email matches /^a\/b$/
  then deny score 80 reason MULE

list @datacenters = [203.0.113.0/24, 2001:db8::/32, "x"]

list @bins prefix = ["424242", "55"]

test "new account at night"
  given { amount: 600.00 CNY, account_age: 2d, at: 2026-11-22T02:00+08:00 }
  expect challenge because 高额夜间

# end
`

func TestFormatKeepsCanonicalSource(t *testing.T) {
	file, faults := Parse(sample)
	if len(faults) > 0 {
		t.Fatalf("faults: %+v", faults)
	}
	if len(file.Rules) != 4 || len(file.Tests) != 1 || len(file.Lists) != 2 {
		t.Fatalf("%d rules, %d tests, %d lists", len(file.Rules), len(file.Tests), len(file.Lists))
	}
	if got := Format(file, English); got != sample {
		t.Errorf("formatted:\n%s", got)
	}
}

func TestFormatInChineseReadsBack(t *testing.T) {
	file, _ := Parse(sample)
	chinese := Format(file, Chinese)
	again, faults := Parse(chinese)
	if len(faults) > 0 {
		t.Fatalf("faults %+v in\n%s", faults, chinese)
	}
	if got := Format(again, English); got != sample {
		t.Errorf("back in English:\n%s", got)
	}
	if !strings.Contains(chinese, "规则 高额夜间") || strings.Contains(chinese, "when") {
		t.Errorf("not Chinese:\n%s", chinese)
	}
}

func TestPrecedence(t *testing.T) {
	for src, want := range map[string]string{
		"a or b and c":              "(or a (and b c))",
		"not a == b and c":          "(and (not (== a b)) c)",
		"a + b * c - d > 1":         "(> (- (+ a (* b c)) d) 1)",
		"-a * b":                    "(* (neg a) b)",
		"a default 1 + 2":           "(+ (default a 1) 2)",
		"a in 1..4 or b":            "(or (in a 1..4) b)",
		"not a is not missing":      "(not (present a))",
		"(a or b) and c":            "(and (or a b) c)",
		"a not in [1, -2]":          "(not-in a [1, -2])",
		"any x in y (x > 1) and b":  "(and (any x y (> x 1)) b)",
		"a > 1 and b > 2 and c > 3": "(and (> a 1) (> b 2) (> c 3))",
		"a in 1..4 + 2 and b in c":  "(and (in a 1..4 + 2) (in b c))",
	} {
		file, faults := Parse("rule r when " + src + " then deny")
		if len(faults) > 0 {
			t.Errorf("%s: %+v", src, faults)
			continue
		}
		if got := sexpr(file.Rules[0].When); got != want {
			t.Errorf("%s: got %s, want %s", src, got, want)
		}
	}
}

func sexpr(x Expr) string {
	switch x := x.(type) {
	case *Logic:
		texts := []string{"(" + x.Op.String()}
		for _, term := range x.Terms {
			texts = append(texts, sexpr(term))
		}
		return strings.Join(texts, " ") + ")"
	case *Binary:
		return fmt.Sprintf("(%s %s %s)", x.Op, sexpr(x.X), sexpr(x.Y))
	case *Not:
		return "(not " + sexpr(x.X) + ")"
	case *Neg:
		return "(neg " + sexpr(x.X) + ")"
	case *Paren:
		return sexpr(x.X)
	case *Missing:
		if x.Not {
			return "(present " + sexpr(x.X) + ")"
		}
		return "(missing " + sexpr(x.X) + ")"
	case *In:
		if x.Not {
			return "(not-in " + sexpr(x.X) + " " + Text(x.Set) + ")"
		}
		return "(in " + sexpr(x.X) + " " + Text(x.Set) + ")"
	case *Quantifier:
		return "(any " + x.Var.Name + " " + x.List.String() + " " + sexpr(x.Body) + ")"
	}
	return Text(x)
}

func TestLiterals(t *testing.T) {
	for src, want := range map[string]Literal{
		"1_000":                  {Kind: IntLit, Int: 1000},
		"2.5":                    {Kind: FloatLit, Float: 2.5},
		"500.00 CNY":             {Kind: MoneyLit, Int: 50000, Str: "CNY"},
		"500 CNY":                {Kind: MoneyLit, Int: 50000, Str: "CNY"},
		"7 JPY":                  {Kind: MoneyLit, Int: 7, Str: "JPY"},
		"1.5 KWD":                {Kind: MoneyLit, Int: 1500, Str: "KWD"},
		"1h30m":                  {Kind: DurationLit, Int: 5400e6},
		"7d":                     {Kind: DurationLit, Int: 604800e6},
		"2026-11-22T02:00+08:00": {Kind: TimeLit, Int: 1795284000e6},
		"2026-11-21T18:00:00.5Z": {Kind: TimeLit, Int: 1795284000e6 + 500000},
		"10.0.0.0/8":             {Kind: AddressLit, Str: "10.0.0.0/8"},
		"2001:db8::1":            {Kind: AddressLit, Str: "2001:db8::1"},
		`"a\"\u{4e2d}\n"`:        {Kind: StringLit, Str: "a\"中\n"},
		"true":                   {Kind: BoolLit, Int: 1},
	} {
		file, faults := Parse("test \"t\" given { a: " + src + " } expect deny")
		if len(faults) > 0 {
			t.Errorf("%s: %+v", src, faults)
			continue
		}
		got := *file.Tests[0].Given.Fields[0].Value.(*Literal)
		if got.Raw != src {
			t.Errorf("%s: raw is %s", src, got.Raw)
		}
		got.Span, got.Raw = Span{}, ""
		if got != want {
			t.Errorf("%s: got %+v", src, got)
		}
	}
}

func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		"rule r when a = 1 then deny":                       "expected 'and', 'or' or 'then', found '='",
		"rule r when a > 1 then dney":                       "expected an action, found 'dney'",
		"rule r when a && b then deny":                      "unexpected character '&'",
		"rule r when a < b < c then deny":                   "comparisons cannot be chained",
		"rule r when a > 5 CNX then deny":                   "unknown currency 'CNX'",
		"rule r when a > 5.001 CNY then deny":               "amounts in CNY have 2 decimals",
		"rule r when a > 5q then deny":                      "unknown unit 'q'",
		"rule r when a == \"x then deny":                    "the string does not end",
		"rule r when a in cidr 10.0.0.999 then deny":        "bad IP address '10.0.0.999'",
		"rule r when at > 2026-13-22T02:00Z then deny":      "bad time '2026-13-22T02:00Z'",
		"rule r live live when a then deny":                 "'live' is given twice",
		"rule r canary 101% by a when a then deny":          "a percentage is between 0 and 100",
		"rule r when when > 1 then deny":                    "expected a value, found 'when'",
		"rule r when (a then deny":                          "expected ')', found 'then'",
		"ruel r when a then deny":                           "expected 'rule', 'list' or 'test', found 'ruel'",
		"rule r when a > 99999999999999999999 then deny":    "number out of range",
		"rule r when a （1） then deny":                       "unexpected character '（'",
		"rule r when " + strings.Repeat("(", 100) + "a":     "expressions nested deeper than 64",
		"rule r when a in [" + strings.Repeat("1,", 20_000): "more than 10000 elements",
	} {
		_, faults := Parse(src)
		if len(faults) != 1 || faults[0].Message != want {
			t.Errorf("%.60s: got %+v, want %s", src, faults, want)
		}
	}
}

func TestParseReportsEachBadItem(t *testing.T) {
	file, faults := Parse("rule a when x = 1 then deny\nrule b when y then deny\nrule c when z\nrule d when > then deny\n")
	if len(faults) != 3 || len(file.Rules) != 1 || file.Rules[0].Name.Name != "b" {
		t.Errorf("faults %+v, %d rules", faults, len(file.Rules))
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"amount", "account_age", "ip", "card"}
	for name, want := range map[string]string{"amuont": "amount", "crad": "card", "acount_age": "account_age", "zzz": ""} {
		if want != "" {
			want = "did you mean '" + want + "'?"
		}
		if got := Suggest(name, known); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	seeds, err := os.ReadDir("../../testdata")
	if err == nil {
		for _, seed := range seeds {
			text, _ := os.ReadFile("../../testdata/" + seed.Name())
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		file, faults := Parse(src)
		for _, fault := range faults {
			if fault.Span.Start < 0 || fault.Span.End < fault.Span.Start || int(fault.Span.End) > len(src) {
				t.Fatalf("span %+v outside of %d bytes", fault, len(src))
			}
		}
		if len(faults) > 0 {
			return
		}
		once := Format(file, English)
		again, faults := Parse(once)
		if len(faults) > 0 {
			t.Fatalf("formatted source has faults %+v\n%s", faults, once)
		}
		if len(again.Comments) != len(file.Comments) || len(again.Items) != len(file.Items) {
			t.Fatalf("formatting lost something\n%s", once)
		}
		if twice := Format(again, English); twice != once {
			t.Fatalf("formatting twice differs\n%s\n---\n%s", once, twice)
		}
	})
}

func TestListsAreFoundWhereverTheyStand(t *testing.T) {
	for source, want := range map[string]string{
		"list @a = [\"x\"]": "a", " \tlist@a=[]": "a", "rule r when a in list @b then deny\nlist @a = []": "a",
		"名单 @a = []\n名单\n@b = []": "ab", "list # why\n\n # so # and so\n  @a = []": "a", "list @a = [\"list @b = []\"]\nlist @c cidr = [1.2.3.4]": "ac",
		"# list @a = []": "", "x list @a = []": "", "list @a": "", "list @": "", "@a = []": "", "listlist @a = []": "", "#\n\n@a = []": "", "": "",
		"\r\n \r\n\t list @a = []\r\n名单 @b = []\n 名 @c = []\n\t名单 @d = []": "abd", "lis\nlist @a = []\nx\n": "a", "\n \n": "",
	} {
		var got string
		for _, list := range Lists(source) {
			got += list.Name.Name
		}
		if got != want {
			t.Errorf("%q declares %q, want %q", source, got, want)
		}
	}
}
