package pattern

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	comparisons = flag.Int("comparisons", 60_000, "texts that are matched by Go's regexp too")
	seed        = flag.Uint64("seed", 3, "of random patterns and texts")
)

// source writes random patterns over few characters, so that texts match.
type source struct {
	*rand.Rand
	b strings.Builder
}

func (s *source) pick(from ...string) string { return from[s.IntN(len(from))] }

func (s *source) pattern() string {
	s.b.Reset()
	if s.IntN(5) == 0 {
		s.b.WriteString("(?i)")
	}
	begin, end := s.IntN(3) == 0, s.IntN(3) == 0
	for i := range 1 + s.IntN(5)/4*s.IntN(3) {
		if i > 0 {
			s.b.WriteByte('|')
		}
		if begin {
			s.b.WriteByte('^')
		}
		s.sequence(3)
		if end {
			s.b.WriteByte('$')
		}
	}
	return s.b.String()
}

func (s *source) sequence(depth int) {
	for range s.IntN(6) {
		s.atom(depth)
		if s.IntN(3) == 0 {
			s.b.WriteString(s.pick("*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{2,}", "{0,2}", "{1,3}", "{3}?", "{0,}"))
		}
	}
}

func (s *source) atom(depth int) {
	if depth > 0 && s.IntN(5) == 0 {
		s.b.WriteString(s.pick("(", "(?:"))
		for i := range 1 + s.IntN(3) {
			if i > 0 {
				s.b.WriteByte('|')
			}
			s.sequence(depth - 1)
		}
		s.b.WriteByte(')')
		return
	}
	if s.IntN(3) > 0 {
		s.b.WriteString(s.pick("a", "b", "c", "ab", "bc", "@", "1", `\.`, "[.]"))
		return
	}
	s.b.WriteString(s.pick(".", "[ab]", "[^a]", "[^ab\\n]", "[a-c1]", "[[:alpha:]]", "[^[:^digit:]b]", `\d`, `\w`, `\W`, `\s`, `\D`, `\S`,
		"[]a]", "[a-]", "[-b]", `[\d@]`, `[^\w]`, `\x61`, `\n`, "[^[:ascii:]]", "[\\x00-\\x7f]", "[^\\s\\S]", "é", "中", "[é中]", "[^中]", "[一-龥]", "[b-é]", "k", "s", "[^j-t]", "[A-S]", "\\xe9", "\uFFFD", "(?i)", `\b`, "^", "$", "{", "}", "]"))
}

func (s *source) text() string {
	s.b.Reset()
	for range s.IntN(12) {
		s.b.WriteString(s.pick("a", "a", "a", "b", "b", "c", "ab", "bc", "@", "1", ".", " ", "\n", "é", "中", "\xff", "\xe4\xb8", "\U0001F600", "\xed\xa0\x80", "_", "A", "K", "s", "S", "ſ", "\u212A", "É"))
	}
	return s.b.String()
}

// shared compiles all patterns that are checked, which must not disturb each other.
var shared Compiler

// check compares a pattern with Go's regexp and tells whether it is a valid
// one that was compiled here.
func check(t *testing.T, text string, inputs ...string) (ours bool, matches int) {
	t.Helper()
	regex, err := regexp.Compile(text)
	p, faulty := shared.Compile(text)
	if (err == nil) != (faulty == nil) {
		t.Fatalf("/%s/: %v, regexp: %v", text, faulty, err)
	}
	if err != nil {
		return false, 0
	}
	for _, s := range inputs {
		want := regex.MatchString(s)
		if heads := p.Heads(); want && heads != nil && !slices.ContainsFunc(heads, func(head string) bool { return strings.HasPrefix(s, head) }) {
			t.Fatalf("%q matches %q, which begins with none of %q", text, s, heads)
		}
		if pieces := p.Pieces(); want && pieces != nil && !slices.ContainsFunc(pieces, func(piece string) bool { return strings.Contains(s, piece) }) {
			t.Fatalf("%q matches %q, which contains none of %q", text, s, pieces)
		}
		if tails := p.Tails(); want && tails != nil && !slices.ContainsFunc(tails, func(tail string) bool { return strings.HasSuffix(s, tail) }) {
			t.Fatalf("%q matches %q, which ends with none of %q", text, s, tails)
		}
		if c, near, ok := p.Closer(); want && ok && !closed(s, c, near) {
			t.Fatalf("%q matches %q, in which no %q has one of %v before it", text, s, c, near)
		}
		if got := p.MatchString(s); got != want {
			t.Fatalf("/%s/ on %q: %v, regexp: %v", text, s, got, want)
		}
		if want {
			matches++
			if match := regex.FindString(s); !strings.Contains(match, p.Literal()) {
				t.Fatalf("/%s/ matches %q in %q, which has no %q", text, match, s, p.Literal())
			}
		}
	}
	return p.manner != standard, matches
}

// closed reports whether a text has a character with one of near before it.
func closed(s string, c byte, near []Near) bool {
	for i := range len(s) {
		fits := func(n Near) bool { return i >= n.Before && s[i-n.Before] == n.Char }
		if s[i] == c && (near == nil || slices.ContainsFunc(near, fits)) {
			return true
		}
	}
	return false
}

func TestMatchesAsRegexp(t *testing.T) {
	const each = 30
	seed := *seed
	s := &source{Rand: rand.New(rand.NewPCG(seed, 0))}
	patterns, ours, matches := 0, 0, 0
	inputs := make([]string, each)
	for done := 0; done < *comparisons; done += each {
		text := s.pattern()
		for i := range inputs {
			inputs[i] = s.text()
		}
		here, found := check(t, text, inputs...)
		patterns++
		if here {
			ours++
			matches += found
		}
	}
	summary := fmt.Sprintf("seed %d: %d patterns, %d of them compiled here, matching %d texts", seed, patterns, ours, matches)
	t.Log(summary)
	if ours < patterns/3 || matches < *comparisons/20 {
		t.Error("too few comparisons mean anything: " + summary)
	}
}

func FuzzMatchesAsRegexp(f *testing.F) {
	f.Add(`^(li|wang)[0-9]*3[0-9]?@`, "li13@qq.com")
	f.Add(`[^\W_]{2,}[[:punct:]]$`, "é\xff.")
	f.Fuzz(func(t *testing.T, text, input string) {
		if len(text) <= maxText {
			if _, err := Compile(text); err == nil {
				check(t, text, input)
			}
		}
	})
}
