package pattern

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestAwkwardPatterns(t *testing.T) {
	long := strings.Repeat("a", 70)
	for _, c := range []struct {
		text   string
		inputs string // by spaces; also tried: empty, and the whole
	}{
		{``, "a"},
		{`^`, "a"},
		{`[.]com`, ".com xcom a.com ."},
		{`[.]{2}[-]+[a][$]`, "..-a$ .-a$ ..a$ ..--a$"},
		{`[+]*[ ]?x`, "x +x"},
		{`[{][}]`, "{} }{"},
		{`[|][*]`, "|* |"},
		{`[^]`, "^"},
		{`[[]`, "[ ]"},
		{`[]]`, "] []"},
		{`[\]`, `\ ]`},
		{`(?i)[.]a[b][1]c`, ".ab1c .AB1C .aB1c xab1c"},
		{`(?i)1-@[k]`, "1-@k 1-@K 1-@\u212A"},
		{`a[.`, "a."},
		{`a[.]`, "a. a"},
		{`a b~ !`, "a a\tb"},
		{`[é]a`, "éa"},
		{`$`, "a"},
		{`^$`, "a \n"},
		{`|a`, "b"},
		{`a||b`, "c"},
		{`^(|a)$`, "a aa"},
		{`^(a|)b$`, "b ab aab"},
		{`()`, "a"},
		{`^(())$`, "a"},
		{`a$`, "a a\n ba ab"},
		{`^a$`, "a a\n \na"},
		{`^a|^b`, "ab ba cab"},
		{`^a|b`, "ab cb ca"},
		{`a$|b`, "ab bc ca ac"},
		{`^a$|^bc$`, "a bc abc bca"},
		{`a{0}`, "a"},
		{`a{0}b`, "ab a"},
		{`^a{0,0}$`, "a"},
		{`x*`, "y"},
		{`^x*$`, "y x xx xy"},
		{`^x{2}$`, "x xx xxx"},
		{`^x{2,}y`, "xy xxy xxxxy"},
		{`^x{1,3}y`, "y xy xxxy xxxxy"},
		{`^x{0,2}y`, "y xy xxxy"},
		{`^(ab?){2,3}c`, "abc aac ababc ababababc"},
		{`^((a|b{2}){2}c){2}$`, "aacbbac aacaac abbcbbbbc abcabc"},
		{`^(a?){3}$`, "aaa aaaa"},
		{`(a*)*b`, "aab c"},
		{`(a*)+b`, "aab c"},
		{`(|a)+b`, "aab c"},
		{`^(a|ab)(c|bcd)$`, "abcd abc ac acd"},
		{`(){2}`, "a"},
		{`(a|){65}`, long},
		{`a{`, "a{ a"},
		{`a{,2}`, "a{,2} aa"},
		{`a{1`, "a{1 a"},
		{`a{01}`, "a{01} a"},
		{`{`, "{"},
		{`}`, "}"},
		{`]`, "]"},
		{`a{1}}`, "a} a"},
		{`^a+?$`, "a aa"},
		{`^a??b`, "b ab"},
		{`a{2}?`, "aa"},
		{`a**`, ""},
		{`a+*`, ""},
		{`a{2}{3}`, ""},
		{`a???`, ""},
		{`*`, ""},
		{`^*`, "a"},
		{`^+a`, "ba"},
		{`a$?b`, "ab"},
		{`(*)`, ""},
		{`a|*`, ""},
		{`^[^a]$`, "\n a é \xff \xe4\xb8 中"},
		{`^.$`, "\n a é \xff \xff\xff"},
		{`^..$`, "é\xff \xe4\xb8 \xed\xa0\x80"},
		{`^\D{3}$`, "\xed\xa0\x80 中中中"},
		{`.b$`, "\nb ab \xffb éb b"},
		{`^[^[:ascii:]]+$`, "é a éa"},
		{`[^\s\S]`, "a é"},
		{`[\s\S]`, "a é \n"},
		{`^\x41\n\t\r\f\v\a$`, "A\n\t\r\f\v\a"},
		{`\x{41}`, "A"},
		{`\101`, "A"},
		{`\0`, "\x00"},
		{`\x00+a`, "\x00a a"},
		{`\x80`, "\u0080 \x80"},
		{`\x4`, ""},
		{`\xzz`, ""},
		{`\Qa.b\E+`, "a.bb axb"},
		{`\pL`, "a é 1"},
		{`\bA\b`, "A AA"},
		{`\Aa\z`, "a ba"},
		{`(?i)gmail`, "GMAIL"},
		{`(?P<x>a)`, "a b"},
		{`(?:a|b)c`, "bc c"},
		{`(?s).`, "\n"},
		{`(?m)^a$`, "b\na"},
		{`[]a]`, "] a b"},
		{`[^]a]`, "] a b"},
		{`[a-]`, "a - b"},
		{`[-a]`, "a - b"},
		{`[a-b-d]`, "a - c d"},
		{`[\.-]`, ". - a"},
		{`[^\]]`, "] a"},
		{`[b-a]`, ""},
		{`[a-\d]`, ""},
		{`[`, ""},
		{`[]`, ""},
		{`[[:foo:]]`, ""},
		{`[[:alpha]`, "a : ["},
		{`[[a]`, "[ a b"},
		{`[\w.+-]+@`, "a+b@ @"},
		{`^(?i)a`, "A"},
		{`(?i)^SK$`, "sk ſ\u212A Sk s"},
		{`(?i)[^a-z]`, "ſ K \u212A k 1"},
		{`(?i)\W`, "ſ \u212A é"},
		{`(?i)é`, "É é"},
		{`(?i)*`, "a"},
		{`(?i)`, "a"},
		{`a(?i)b`, "aB AB"},
		{`^[一-龥]{2,4}$`, "支付 支 支付a \xe6\x94"},
		{`支+付`, "支支付 支"},
		{`^[^支]付`, "支付 a付 \xff付"},
		{`[支-付付]`, "支"},
		{`(?i)[a-é]`, "É"},
		{`退款$`, "退款 款退 \xe9退款"},
		{`[é-ü]`, "é ö a"},
		{`支付`, "支付 支"},
		{"\xff", ""},
		{"a\x00", "a\x00 a"},
		{`\`, ""},
		{`a\`, ""},
		{`\y`, ""},
		{`\8`, ""},
		{`(`, ""},
		{`)`, ""},
		{`a)`, ""},
		{`(a`, ""},
		{`(?`, ""},
		{`(?x)`, ""},
		{`a{1001}`, ""},
		{`((a{100}){100})`, ""},
		{`a{64}`, long},
		{`a{65}`, long},
		{`^a{64}$`, long},
		{`^a{70}$`, long},
		{`a{60,64}b`, long + "b"},
		{`^.{1,64}$`, long},
		{`\x{FFFD}a`, "\xffa \uFFFDa"},
		{`^ab+$`, "ab abb a b"},
		{`ab+c$`, "abbc ac abc"},
		{`^a.*a$`, "a aa aba"},
		{`^aba$`, "aba ababa"},
		{`^ab|^ac`, "ac ad"},
		{`c(bc)+$`, "cbc bc cbcbc"},
		{`a(bc)+`, "abcbc a"},
		{`[ab]c*@`, "@ a@ @a@ @bcc@ cc@a a@@"},
		{`([ab]@)+`, "@ c@a@b@ c@@"},
		{`(a|b)?[0-9]*5[0-9]?@`, "5@ 4@a51@ a4@b53 中5@"},
		{`(a|中.)1?@`, "中@ 中é1@ é1@ 中\xff@"},
	} {
		inputs := append(strings.Split(c.inputs, " "), "", c.inputs, " ", "\n")
		check(t, c.text, inputs...)
	}
}

func TestCompiledHere(t *testing.T) {
	for _, text := range append(benchmarked, `^[\w.+-]{1,20}@([a-z0-9-]+\.)+(com|net|[a-z]{2})$`, `(curl|python-requests)/[0-9]`, `^1[3-9]\d{9}$`, `^(?:10|192[.]168)\.`, `(?i)^[a-z]+支付.?$`, `^[一-龥]{2,4}$`, ``, `^$`) {
		if ours, _ := check(t, text); !ours {
			t.Errorf("/%s/ is left to Go's regexp", text)
		}
	}
}

func TestLargePatterns(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(a*", 300), strings.Repeat("(", 250) + strings.Repeat("a)*", 250), strings.Repeat("()", 500), strings.Repeat("(", 500),
		`((((){4}){4}){4})`, strings.Repeat("[^a]?", 200), strings.Repeat("a|", 500), strings.Repeat("[a-", 300),
	} {
		check(t, text, "a", "", strings.Repeat("a", 100), strings.Repeat("b", 100))
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`(`:                       "bad pattern: missing closing ) '('",
		`(((a{30}){30}){30})`:     "bad pattern: invalid repeat count '{30}'",
		`[b-a]`:                   "bad pattern: invalid character class range 'b-a'",
		strings.Repeat("a", 1001): "a pattern has at most 1000 bytes",
		`((((a|b)c){10}){10}){9}`: "the pattern is too large: its repetitions multiply",
	} {
		p, err := Compile(text)
		if err == nil || err.Error() != want || p != nil {
			t.Errorf("/%.40s/: %v, want %s", text, err, want)
		}
	}
}

func TestLiterals(t *testing.T) {
	for text, want := range map[string][3]string{ // prefix, suffix, literal
		`^ab+c$`:                        {"ab", "bc", "ab"},
		`@corp[.]example[.]cn$`:         {"", "@corp.example.cn", "@corp.example.cn"},
		`^(ab){2}(c|d)ef?`:              {"abab", "", "abab"},
		`^a?bc[0-9]def`:                 {"", "", "def"},
		`^(li|wang)3@`:                  {"", "", "3@"},
		`x(abc)+y`:                      {"xabc", "y", "xabc"},
		`(abc)?d|efg`:                   {},
		`^支付(宝|.)退款$`:                   {"支付", "退款", "支付"},
		`gmail`:                         {"gmail", "gmail", "gmail"},
		`^(?:a(b(?:c|(?:def)?g)h){2}i)`: {"ab", "", "ab"},
	} {
		p, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{p.prefix, p.suffix, p.Literal()}; got != want {
			t.Errorf("/%s/: %q, want %q", text, got, want)
		}
	}
	if p, err := Compile(`(?m)^支付.*成功`); err != nil || p.Literal() != "支付" {
		t.Errorf("literal %q of Go's parser, %v", p.Literal(), err)
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	for _, text := range benchmarked {
		p, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			for _, email := range emails {
				p.MatchString(email)
			}
		}); n != 0 {
			t.Errorf("/%s/ allocates %v times", text, n)
		}
	}
}

func TestPatternsOfOneCompilerAreAsAlone(t *testing.T) {
	s := &source{Rand: rand.New(rand.NewPCG(*seed, 1))}
	var together Compiler
	var made, alone []*Pattern
	for len(made) < 3000 {
		text := s.pattern()
		p, err := together.Compile(text)
		if err != nil {
			continue
		}
		q, err := Compile(text)
		if err != nil {
			t.Fatalf("/%s/ alone: %v", text, err)
		}
		made, alone = append(made, p), append(alone, q)
	}
	for i, p := range made { // once the others are made
		if p.regex == nil && !reflect.DeepEqual(p, alone[i]) {
			t.Errorf("/%s/ is %+v, alone %+v", p.text, p, alone[i])
		}
	}
}
