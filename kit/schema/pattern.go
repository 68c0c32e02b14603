package schema

import (
	"regexp"
	"regexp/syntax"
)

// pattern is a regular expression.
type pattern interface{ MatchString(s string) bool }

// patternOf is nil where there is a fault in it.
func patternOf(expression string) pattern {
	if w := wordOf(expression); w != nil {
		return w
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil
	}
	return compiled
}

// word is a pattern of a whole text in ASCII: so many letters of one set, then
// of the next. It takes a tenth of what a regular expression does.
type word []letters

type letters struct {
	set         [2]uint64 // a bit for each of 128 letters
	least, most int       // most is below 0 where there is no end
}

// wordOf is nil where the expression is no word. Only the last letters may
// differ in number, so that there is one way to match.
func wordOf(expression string) word {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || len(parsed.Sub) < 3 {
		return nil
	}
	last := len(parsed.Sub) - 1
	if parsed.Sub[0].Op != syntax.OpBeginText || parsed.Sub[last].Op != syntax.OpEndText {
		return nil
	}
	var w word
	for n, part := range parsed.Sub[1:last] {
		l, is := lettersOf(part)
		if !is || l.least != l.most && n != last-2 {
			return nil
		}
		w = append(w, l)
	}
	return w
}

func lettersOf(part *syntax.Regexp) (l letters, is bool) {
	l.least, l.most = 1, 1
	switch part.Op {
	case syntax.OpRepeat:
		l.least, l.most = part.Min, part.Max
	case syntax.OpStar:
		l.least, l.most = 0, -1
	case syntax.OpPlus:
		l.most = -1
	case syntax.OpQuest:
		l.least = 0
	case syntax.OpCharClass:
		return l, l.add(part.Rune)
	default:
		return l, false
	}
	if part.Sub[0].Op != syntax.OpCharClass {
		return l, false
	}
	return l, l.add(part.Sub[0].Rune)
}

// add takes pairs of first and last letters; false where any is not ASCII.
func (l *letters) add(ranges []rune) bool {
	for n := 0; n < len(ranges); n += 2 {
		if ranges[n+1] >= 128 {
			return false
		}
		for r := ranges[n]; r <= ranges[n+1]; r++ {
			l.set[r>>6] |= 1 << (r & 63)
		}
	}
	return true
}

// MatchString implements pattern.
func (w word) MatchString(s string) bool {
	at := 0
	for n := range w {
		l, from := &w[n], at
		for at < len(s) && at-from != l.most && s[at] < 128 && l.set[s[at]>>6]>>(s[at]&63)&1 == 1 {
			at++
		}
		if at-from < l.least {
			return false
		}
	}
	return at == len(s)
}
