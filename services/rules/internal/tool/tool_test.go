package tool

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run calls the tool in a folder of files and returns what it printed.
func run(t *testing.T, files map[string]string, stdin string, args ...string) (code int, out, errs string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	code = Main(t.Context(), args, &Stdio{In: strings.NewReader(stdin), Out: &stdout, Err: &stderr, Program: "rules"})
	return code, stdout.String(), stderr.String()
}

const (
	good = `rule a live
  when card == "x" and country in ["US"]
  then deny score 5 reason X

test "x is denied"
  given { card: "x", country: "US" }
  expect deny because a

test "y passes"
  given { card: "y" }
  expect allow
`
	bad     = "rule a when crad == \"x\" then deny\n"
	failing = good + "\ntest \"wrong\"\n  given { card: \"x\", country: \"US\" }\n  expect allow\n"
	messy   = "rule a   when card==\"x\" then deny\n"
	tidy    = "rule a live\n  when card == \"x\"\n  then deny\n"
)

func TestVerbs(t *testing.T) {
	files := map[string]string{
		"good.rules": good, "bad.rules": bad, "failing.rules": failing, "messy.rules": messy,
		"set/a.rules": good, "set/deep/b.rules": strings.Replace(good, "card ==", "card in list @cards and card ==", 1),
		"set/deep/cards.list": "x\n# no\ny\n", "cards.txt": "x\n", "fact.json": `{"card": "x", "country": "US"} {"card": "y"}`,
		"warned.rules": "rule a when card == \"x\" and paid_orders > 1 and card == \"y\" then deny\n",
		"hinted.rules": "rule a when card matches /^x/ then deny\n",
		"empty/note":   "", "listed.rules": "rule a when card in list @cards then deny\n",
	}
	for _, test := range []struct {
		args  string
		stdin string
		code  int
		want  string // part of what is printed, to either stream
	}{
		{args: "help", want: "  check "},
		{args: "", want: "  check "},
		{args: "fly", code: 2, want: `verb "fly" is not known`},
		{args: "help fmt", want: "usage: rules fmt [flags] FILE..."},
		{args: "check --jsn x", code: 2, want: "did you mean json?"},
		{args: "check", code: 2, want: "no FILE is given"},
		{args: "check gone.rules", code: 2, want: "gone.rules"},
		{args: "check empty", code: 2, want: "empty has no *.rules"},
		{args: "check good.rules", want: "ok: 1 source, 1 rule, 2 tests"},
		{args: "check -", stdin: good, want: "ok: 1 source"},
		{args: "check -", stdin: bad, code: 1, want: "<stdin>:1:13: error: unknown field 'crad'\n     1 | rule a when crad"},
		{args: "check set", want: "ok: 2 sources, 2 rules, 4 tests"},
		{args: "check listed.rules", code: 1, want: "unknown list '@cards'"},
		{args: "check --list cards=cards.txt listed.rules", want: "ok"},
		{args: "check --list cards listed.rules", code: 2, want: "want name=file"},
		{args: "check --fact no.Such good.rules", code: 2, want: "fact type no.Such is not known"},
		{args: "check --descriptors cards.txt good.rules", code: 2, want: "cards.txt is no descriptor set"},
		{args: "check --json bad.rules", code: 1, want: `"help": "did you mean 'card'?"`},
		{args: "check warned.rules", want: "warned.rules:1:49: warning: rule 'a' can never fire: 'card == \"x\"' and 'card == \"y\"' exclude each other [never-true]"},
		{args: "check warned.rules", want: "ok: 1 warning, 1 source"},
		{args: "check --warnings-as-errors warned.rules", code: 1, want: "FAIL: 1 warning"},
		{args: "check --hints hinted.rules", want: "info: no pattern is needed [simple-pattern]"},
		{args: "check hinted.rules", want: "ok: 1 source"},
		{args: "check --json warned.rules", want: `"name": "never-true"`},
		{args: "lint warned.rules", code: 1, want: "FAIL: 1 warning"},
		{args: "lint hinted.rules", want: "ok: 1 hint"},
		{args: "lint --names", want: "never-true "},
		{args: "test good.rules", want: "ok: 2 tests passed, 0 failed"},
		{args: "test -v good.rules", want: "pass good.rules:5 \"x is denied\""},
		{args: "test --run ^x good.rules", want: "ok: 1 test passed, 0 failed"},
		{args: "test --run ( good.rules", code: 2, want: "--run"},
		{args: "test failing.rules", code: 1, want: "FAIL failing.rules:13 \"wrong\"\n     expected allow, got deny; fired: a\nFAIL: 2 tests passed, 1 failed"},
		{args: "test bad.rules good.rules", code: 1, want: "FAIL: 1 source of 2 sources cannot be compiled; 2 tests passed"},
		{args: "test --json failing.rules", code: 1, want: `"failure": "expected allow, got deny; fired: a"`},
		{args: "fmt messy.rules", want: tidy},
		{args: "fmt --language zh messy.rules", want: "规则 a 上线"},
		{args: "fmt -", stdin: "规则 a 当 card==\"x\" 则 拒绝", want: "规则 a 上线\n"},
		{args: "fmt --language en -", stdin: "规则 a 当 card==\"x\" 则 拒绝", want: tidy},
		{args: "fmt --language fr messy.rules", code: 2, want: "want en or zh"},
		{args: "fmt --check good.rules", want: ""},
		{args: "fmt --check good.rules messy.rules", code: 1, want: "messy.rules\n"},
		{args: "fmt -d messy.rules", code: 1, want: "@@ -1,1 +1,3 @@\n-rule a   when card==\"x\" then deny\n+rule a live\n"},
		{args: "fmt -w -", code: 2, stdin: good, want: "cannot be written"},
		{args: "fmt -", code: 1, stdin: "rule a then", want: "error: expected"},
		{args: "eval good.rules", code: 2, want: "give the facts"},
		{args: "eval good.rules --fact-json fact.json", want: "deny, score 5\n  a: deny +5 X\nallow, score 0\n  no rule fired\n"},
		{args: "eval good.rules --fact-json -", stdin: `{"card": "x"}`, want: "allow, score 0"},
		{args: "eval good.rules --fact-json -", stdin: `{"crad": "x"}`, code: 2, want: "-: fact 1: fact: malformed"},
		{args: "eval good.rules --fact-json -", code: 2, want: "-: fact 1: EOF"},
		{args: "eval - --fact-json -", code: 2, want: "cannot be both"},
		{args: "eval set --fact-json fact.json", code: 2, want: "want one ruleset"},
		{args: "eval bad.rules --fact-json fact.json", code: 1, want: "unknown field 'crad'"},
		{args: "eval good.rules --fact-json fact.json --trace", want: "    country in [\"US\"] = true\n    country = \"US\"\n"},
		{args: "eval --json good.rules --fact-json fact.json", want: `{"verdict":"deny","score":5,"fired":[{"rule":"a","action":"deny","score":5,"reason":"X"}],"shadow":[]}` + "\n"},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, out, errs := run(t, files, test.stdin, strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(out+errs, test.want) {
				t.Errorf("code %d, want %d; printed\n%s%s", code, test.code, out, errs)
			}
			if code == exitOK && errs != "" {
				t.Errorf("all is well, but the error stream has %q", errs)
			}
		})
	}
}

// TestLanguageServer opens a source whose list stands beside it.
func TestLanguageServer(t *testing.T) {
	frame := func(text string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), text) }
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "cards.list"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	talk := []string{
		frame(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`),
		frame(`{"jsonrpc":"2.0","method":"textDocument/didOpen","params":{"textDocument":{"uri":"file://` + filepath.ToSlash(folder) +
			`/a.rules","version":1,"text":"rule a when card in list @cards and crad == \"x\" then deny"}}}`),
		frame(`{"jsonrpc":"2.0","id":2,"method":"shutdown"}`), frame(`{"jsonrpc":"2.0","method":"exit"}`),
	}
	var pieces []io.Reader // one by one, as from a client that waits
	for _, piece := range talk {
		pieces = append(pieces, strings.NewReader(piece))
	}
	var out bytes.Buffer
	code := Main(t.Context(), []string{"lsp", "--stdio"}, &Stdio{In: io.MultiReader(pieces...), Out: &out, Err: &out, Program: "rules"})
	if code != exitOK || !strings.Contains(out.String(), "unknown field 'crad'") || strings.Contains(out.String(), "unknown list") {
		t.Errorf("code %d\n%s", code, out.String())
	}
	if code, _, _ := run(t, nil, "", "lsp"); code != exitFaults {
		t.Errorf("a client that goes away: code %d", code)
	}
}

func TestFormatWritesTheFileAndKeepsItsMode(t *testing.T) {
	if code, out, errs := run(t, map[string]string{"m.rules": messy}, "", "fmt", "-w", "m.rules"); code != exitOK || out+errs != "" {
		t.Fatalf("code %d: %s%s", code, out, errs)
	}
	text, err := os.ReadFile("m.rules")
	if err != nil || string(text) != tidy {
		t.Errorf("%v: %s", err, text)
	}
	if info, err := os.Stat("m.rules"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v: mode %v", err, info.Mode())
	}
}

func TestColoursOnATerminalOnly(t *testing.T) {
	std := &Stdio{Colour: true}
	var out bytes.Buffer
	std.print(&out, diagnostic{Severity: "error", rendered: "f:1:1: error: bad\n     1 | x\n       | ^"})
	if want := bold + "f:1:1: " + red + "error:" + plain + bold + " bad" + plain + "\n     1 | x\n       | " + red + "^" + plain + "\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	if got, want := std.paintDiff("@@ -1,1 +1,1 @@\n-a\n+b\n c\n"), blue+"@@ -1,1 +1,1 @@"+plain+"\n"+red+"-a"+plain+"\n"+green+"+b"+plain+"\n c\n"; got != want {
		t.Errorf("got %q", got)
	}
	std.Colour = false
	if got := std.paint(red, "x") + std.paintDiff("-a\n"); got != "x-a\n" {
		t.Errorf("got %q", got)
	}
}

func TestEachVerbHelps(t *testing.T) {
	for _, verb := range verbs() {
		code, out, _ := run(t, nil, "", verb.Name, "--help")
		if code != exitOK || !strings.Contains(out, "Examples:\n  rules "+verb.Name) || !strings.Contains(out, "Flags:\n") {
			t.Errorf("%s: code %d\n%s", verb.Name, code, out)
		}
	}
}

func TestUnified(t *testing.T) {
	numbered := func(lines ...string) string { return strings.Join(lines, "\n") + "\n" }
	for name, test := range map[string]struct{ before, after, want string }{
		"same":   {"a\n", "a\n", ""},
		"change": {"a\n", "b\n", "@@ -1,1 +1,1 @@\n-a\n+b\n"},
		"no end": {"a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		"two hunks": {
			numbered("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"),
			numbered("1", "x", "3", "4", "5", "6", "7", "8", "9", "y", "10", "11"),
			"@@ -1,5 +1,5 @@\n 1\n-2\n+x\n 3\n 4\n 5\n@@ -7,5 +7,6 @@\n 7\n 8\n 9\n+y\n 10\n 11\n",
		},
		"one hunk": {
			numbered("1", "2", "3", "4", "5", "6"), numbered("x", "2", "3", "4", "5", "y"),
			"@@ -1,6 +1,6 @@\n-1\n+x\n 2\n 3\n 4\n 5\n-6\n+y\n",
		},
	} {
		want := test.want
		if want != "" {
			want = "--- f\n+++ f (formatted)\n" + want
		}
		if got := unified("f", test.before, test.after); got != want {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}
