package syntax

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokIdent
	tokLiteral
	tokListName // @name
	tokPunct
)

// punct is an operator or bracket; two-byte ones are named.
type punct uint16

const (
	punctEq    punct = '='<<8 | '='
	punctNe    punct = '!'<<8 | '='
	punctLe    punct = '<'<<8 | '='
	punctGe    punct = '>'<<8 | '='
	punctRange punct = '.'<<8 | '.'
)

// token is one lexeme. word is set for an identifier that spells a keyword
// outside backquotes.
type token struct {
	kind  tokenKind
	word  Word
	first bool // the first token of its line (identifiers only)
	lit   LiteralKind
	punct punct
	span  Span
	num   int64
	float float64
	text  string // identifier, string or address
}
