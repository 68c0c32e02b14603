package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// compileStandard compiles a pattern of bounded size by Go's regexp.
func compileStandard(text string) (*Pattern, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("a pattern has at most %d bytes", maxText)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("bad pattern: %s '%s'", bad.Code, bad.Expr)
	}
	// Compiling changes what was parsed.
	literal := requiredLiteral(parsed)
	if size(parsed) > maxInstructions/8 {
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil {
			return nil, fmt.Errorf("bad pattern: %w", err)
		}
		if len(program.Inst) > maxInstructions {
			return nil, errors.New("the pattern is too large: its repetitions multiply")
		}
	}
	regex, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("bad pattern: %w", err)
	}
	return &Pattern{manner: standard, text: text, literal: literal, regex: regex}, nil
}

// size is about how many instructions a pattern takes.
func size(re *syntax.Regexp) int {
	total := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		total += size(sub)
	}
	if re.Op == syntax.OpRepeat {
		total *= max(re.Min, re.Max, 1)
	}
	return total
}

// requiredLiteral is the longest text that every match contains.
func requiredLiteral(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		literal := string(re.Rune)
		// U+FFFD also matches bytes that are not UTF-8.
		if re.Flags&syntax.FoldCase == 0 && !strings.ContainsRune(literal, utf8.RuneError) {
			return literal
		}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredLiteral(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return requiredLiteral(re.Sub[0])
		}
	case syntax.OpConcat:
		longest := ""
		for _, sub := range re.Sub {
			if literal := requiredLiteral(sub); len(literal) > len(longest) {
				longest = literal
			}
		}
		return longest
	default:
	}
	return ""
}
