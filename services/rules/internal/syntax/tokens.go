package syntax

import (
	"maps"
	"slices"
)

// TokenKind is the kind of a Token.
type TokenKind uint8

// The kinds of tokens.
const (
	NameToken    TokenKind = iota // an identifier or keyword
	LiteralToken                  // a constant
	ListToken                     // @name
	SignToken                     // an operator or bracket
	BadToken                      // no lexeme, such as a string without end
)

// Token is a lexeme, for tools that work on sources which do not parse.
type Token struct {
	Kind    TokenKind
	Literal LiteralKind // of a LiteralToken
	Word    string      // the English spelling of a keyword; else empty
	Text    string      // of the source; of a name without backquotes, of a list without '@'
	Span    Span
	First   bool // a name that is the first token of its line
}

// Tokens cuts a source into tokens, whatever it holds, and returns its comments
// too.
func Tokens(src string) ([]Token, []Comment) {
	l := lexer{src: src}
	var all []Token
	for {
		var tok token
		l.next(&tok)
		if fault := l.fault; fault.Message != "" {
			l.fault = Fault{}
			l.pos = max(l.pos, int(fault.Span.End), int(fault.Span.Start)+1)
			all = append(all, Token{Kind: BadToken, Span: fault.Span, Text: src[fault.Span.Start:fault.Span.End]})
			continue
		}
		t := Token{Span: tok.span, Text: src[tok.span.Start:tok.span.End], First: tok.first}
		switch tok.kind {
		case tokEnd:
			return all, l.comments
		case tokIdent:
			t.Kind, t.Text, t.Word = NameToken, tok.text, spelling[tok.word][0]
		case tokLiteral:
			t.Kind, t.Literal = LiteralToken, tok.lit
		case tokListName:
			t.Kind, t.Text = ListToken, tok.text
		case tokPunct:
			t.Kind = SignToken
		}
		all = append(all, t)
	}
}

// Keyword is a keyword in both languages. Reserved ones need backquotes where
// they name a field.
type Keyword struct {
	English, Chinese string
	Reserved         bool
}

// Keywords returns all keywords.
func Keywords() []Keyword {
	all := make([]Keyword, 0, wordCount)
	for word := wordNone + 1; word < wordCount; word++ {
		all = append(all, Keyword{spelling[word][0], spelling[word][1], word.reserved()})
	}
	return all
}

// Operators returns all operators, in English, but `in` and `is`.
func Operators() []string {
	var all []string
	for op := OpOr; int(op) < len(operators); op++ {
		all = append(all, op.String())
	}
	return all
}

// Units returns the units of durations.
func Units() []string { return slices.Sorted(maps.Keys(units)) }

// QuoteName returns a name as the source must spell it.
func QuoteName(name string) string { return quoteName(name) }

// LanguageOf is the language that most keywords of a source are written in.
func LanguageOf(tokens []Token) Language {
	chinese := 0
	for _, t := range tokens {
		switch {
		case t.Word == "":
		case t.Text != t.Word:
			chinese++
		default:
			chinese--
		}
	}
	if chinese > 0 {
		return Chinese
	}
	return English
}
