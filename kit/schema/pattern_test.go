package schema

import (
	"regexp"
	"testing"
)

func TestWordsMatchWhatTheirExpressionsDo(t *testing.T) {
	texts := []string{"", "a", "ab", "abc", "USD", "USDX", "us", "é", "aé", "a_9", "9a", "a\n", "\na", "A", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
	for _, expression := range []string{"^[A-Z]{3}$", "^[a-z][a-z0-9_]{0,31}$", "^[a-z]*$", "^[a-z]+$", "^[a-z][a-z]?$"} {
		w := wordOf(expression)
		if w == nil {
			t.Errorf("%s is no word", expression)
			continue
		}
		for _, text := range texts {
			if got, want := w.MatchString(text), regexp.MustCompile(expression).MatchString(text); got != want {
				t.Errorf("%s matches %q: %t, as a regular expression %t", expression, text, got, want)
			}
		}
	}
	for _, expression := range []string{"[A-Z]{3}", "^[a-z]*[a-z]$", "^a|b$", "(?m)^[a-z]$", "^[^a]$", "^[a-zé]$", "^(?:[a-z]b)*$", "^$", "["} {
		if wordOf(expression) != nil {
			t.Errorf("%s was taken for a word", expression)
		}
	}
}
