package rules

import "github.com/backlot-video/backlot/services/rules/internal/syntax"

// Language is the language of keywords.
type Language = syntax.Language

// The languages of keywords. A source may use both.
const (
	English = syntax.English
	Chinese = syntax.Chinese
)

// LanguageOf is the language that most keywords of a source are written in.
func LanguageOf(source string) Language {
	tokens, _ := syntax.Tokens(source)
	return syntax.LanguageOf(tokens)
}

// Format prints a source in canonical form: comments are kept, the order of
// items too. It needs no schema. The error is an Errors.
func Format(name, source string, language Language) (string, error) {
	file, faults := syntax.Parse(source)
	if len(faults) > 0 {
		return "", newErrors(name, source, faults)
	}
	return syntax.Format(file, language), nil
}
