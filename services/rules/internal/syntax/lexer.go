package syntax

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexer cuts a source into tokens, one at a time.
type lexer struct {
	src      string
	pos      int
	regex    bool // the last token was `matches`: a '/' begins a pattern
	occupied bool // the current line has a token
	comments []Comment
	fault    Fault // of the last token, if Message is set

	currency string // of an amount read before
	exponent int    // its decimals
}

// next reads the next token into tok. On a bad one it sets fault and tok is a
// tokEnd.
func (l *lexer) next(tok *token) {
	l.skip()
	start := l.pos
	if start >= len(l.src) {
		*tok = token{span: Span{int32(start), int32(start)}}
		return
	}
	first := !l.occupied
	l.occupied = true
	regex := l.regex
	l.regex = false
	c := l.src[start]
	kind := classes[c]
	if kind&letterClass != 0 && (kind&digitClass == 0 || !l.address6(tok)) {
		l.ident(tok, first)
		return
	}
	switch {
	case kind&letterClass != 0: // an address
	case kind&digitClass != 0:
		l.number(tok)
	case c == '"':
		*tok = l.str()
	case c == '`':
		*tok = l.quoted()
	case c == '@':
		*tok = l.listName()
	case c == '/' && regex:
		*tok = l.pattern()
	case c == ':' && l.address6(tok):
	case c < utf8.RuneSelf:
		l.symbol(tok)
	case l.identEnd(start) > start:
		l.ident(tok, first)
	default:
		l.symbol(tok)
	}
}

// ident reads an identifier or keyword.
func (l *lexer) ident(tok *token, first bool) {
	start := l.pos
	end := l.identEnd(start)
	l.pos = end
	text := l.src[start:end]
	word := wordOf(text)
	l.regex = word == wordMatches
	*tok = token{kind: tokIdent, word: word, first: first, text: text, span: Span{int32(start), int32(end)}}
}

// classes sorts ASCII bytes. The letters a to f are digits too: of addresses.
var classes = func() (table [256]uint8) {
	for c := range 128 {
		b := byte(c)
		switch {
		case b-'0' < 10:
			table[c] = digitClass | identClass
		case b|0x20-'a' < 6:
			table[c] = letterClass | digitClass | identClass
		case b|0x20-'a' < 26 || b == '_':
			table[c] = letterClass | identClass
		}
	}
	return table
}()

const (
	letterClass uint8 = 1 << iota
	digitClass
	identClass
)

// skip moves past spaces and comments.
func (l *lexer) skip() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n':
			l.occupied = false
			l.pos++
		case c == ' ' || c == '\t' || c == '\r':
			l.pos++
		case c == '#':
			end := strings.IndexByte(l.src[l.pos:], '\n')
			if end < 0 {
				end = len(l.src) - l.pos
			}
			text := strings.TrimRight(l.src[l.pos:l.pos+end], " \t\r")
			l.comments = append(l.comments, Comment{text, Span{int32(l.pos), int32(l.pos + end)}, l.occupied})
			l.pos += end
		case c == 0xEF && l.pos == 0 && strings.HasPrefix(l.src, "\uFEFF"):
			l.pos += 3
		default:
			return
		}
	}
}

// fail records a fault over [start, end) and ends the token stream.
func (l *lexer) fail(start, end int, message, help string) token {
	span := Span{int32(start), int32(max(end, start))}
	l.fault = Fault{span, message, help}
	return token{span: span}
}

// identEnd returns the end of the identifier that begins at start, or start.
func (l *lexer) identEnd(start int) int {
	i := start
	if i < len(l.src) && classes[l.src[i]]&letterClass != 0 {
		for i++; i < len(l.src) && classes[l.src[i]]&identClass != 0; i++ {
		}
	}
	for i < len(l.src) {
		c := l.src[i]
		if classes[c]&identClass != 0 && i > start {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			return i
		}
		r, n := utf8.DecodeRuneInString(l.src[i:])
		if r == utf8.RuneError || (!unicode.IsLetter(r) && (i == start || !unicode.In(r, unicode.Digit, unicode.Mn, unicode.Mc))) {
			return i
		}
		i += n
	}
	return i
}

func (l *lexer) symbol(tok *token) {
	start := l.pos
	c := l.src[start]
	size := 0
	sign := punct(c)
	switch c {
	case '(', ')', '[', ']', '{', '}', ',', ':', '+', '-', '*', '/', '%':
		size = 1
	case '.', '<', '>', '=', '!':
		if c != '!' {
			size = 1
		}
		if start+1 < len(l.src) {
			switch two := sign<<8 | punct(l.src[start+1]); two {
			case punctEq, punctNe, punctLe, punctGe, punctRange:
				size, sign = 2, two
			}
		}
	}
	if size > 0 {
		l.pos += size
		*tok = token{kind: tokPunct, punct: sign, span: Span{int32(start), int32(start + size)}}
		return
	}
	*tok = l.strange()
}

// strange tells what is wrong with a character that nothing begins with.
func (l *lexer) strange() token {
	start := l.pos
	r, n := utf8.DecodeRuneInString(l.src[start:])
	if r == utf8.RuneError && n <= 1 {
		return l.fail(start, start+1, "the source is not valid UTF-8 here", "save it as UTF-8")
	}
	return l.fail(start, start+n, "unexpected character "+strconv.QuoteRune(r), symbolHelp(l.src[start:], r))
}

// symbolHelp tells what to write instead of a character of another habit.
func symbolHelp(rest string, r rune) string {
	switch {
	case strings.HasPrefix(rest, "&&"), r == '&':
		return "write 'and'"
	case strings.HasPrefix(rest, "||"), r == '|':
		return "write 'or'"
	case r == '!':
		return "write 'not'"
	case r == '\'', r == '“', r == '”', r == '「', r == '」':
		return "strings are written in straight double quotes"
	case r == '；' || r == ';':
		return "no separator is needed"
	case r >= 0xFF01 && r <= 0xFF5E:
		return "write the half-width '" + string(r-0xFEE0) + "'"
	case r == '，' || r == '、':
		return "write the half-width ','"
	}
	return ""
}

// str lexes a string in double quotes. Escapes: \" \\ \n \t \r \u{hex}.
func (l *lexer) str() token {
	start := l.pos
	var built []byte
	plain := start + 1 // begin of the part not yet in built
	for i := start + 1; i < len(l.src); i++ {
		switch l.src[i] {
		case '"':
			l.pos = i + 1
			text := l.src[plain:i]
			if built != nil {
				text = string(append(built, text...))
			}
			if !utf8.ValidString(text) {
				return l.fail(start, i+1, "the string is not valid UTF-8", "save the source as UTF-8")
			}
			return token{kind: tokLiteral, lit: StringLit, text: text, span: Span{int32(start), int32(i + 1)}}
		case '\n':
			return l.fail(start, i, "the string does not end on its line", "close it with '\"', write a line break as \\n")
		case '\\':
			built = append(built, l.src[plain:i]...)
			decoded, size := unescape(l.src[i:])
			if size == 0 {
				return l.fail(i, min(i+2, len(l.src)), "unknown escape in a string", `known ones: \" \\ \n \t \r \u{4e2d}`)
			}
			built = append(built, decoded...)
			i += size - 1
			plain = i + 1
		}
	}
	return l.fail(start, len(l.src), "the string does not end", "close it with '\"'")
}

// unescape decodes the escape at the start of s; size 0 means it is unknown.
func unescape(s string) (decoded string, size int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case '"', '\\':
		return s[1:2], 2
	case 'n':
		return "\n", 2
	case 't':
		return "\t", 2
	case 'r':
		return "\r", 2
	case 'u':
		end := strings.IndexByte(s, '}')
		if end < 4 || end > 9 || s[2] != '{' {
			return "", 0
		}
		code, err := strconv.ParseUint(s[3:end], 16, 32)
		if err != nil || !utf8.ValidRune(rune(code)) {
			return "", 0
		}
		return string(rune(code)), end + 1
	}
	return "", 0
}

// pattern lexes /regex/, in which \/ is a slash.
func (l *lexer) pattern() token {
	start := l.pos
	for i := start + 1; i < len(l.src) && l.src[i] != '\n'; i++ {
		switch l.src[i] {
		case '\\':
			i++
		case '/':
			l.pos = i + 1
			text := strings.ReplaceAll(l.src[start+1:i], `\/`, "/")
			return token{kind: tokLiteral, lit: RegexLit, text: text, span: Span{int32(start), int32(i + 1)}}
		}
	}
	return l.fail(start, start+1, "the pattern does not end on its line", "close it with '/'")
}

// quoted lexes a name in backquotes.
func (l *lexer) quoted() token {
	start := l.pos
	end := l.identEnd(start + 1)
	if end == start+1 || end >= len(l.src) || l.src[end] != '`' {
		return l.fail(start, end, "bad name in backquotes", "a name has letters, digits and '_', as in `list`")
	}
	l.pos = end + 1
	return token{kind: tokIdent, text: l.src[start+1 : end], span: Span{int32(start), int32(l.pos)}}
}

func (l *lexer) listName() token {
	start := l.pos
	end := l.identEnd(start + 1)
	if end == start+1 {
		return l.fail(start, start+1, "'@' must be followed by the name of a list", "as in list @datacenters")
	}
	l.pos = end
	return token{kind: tokListName, text: l.src[start+1 : end], span: Span{int32(start), int32(end)}}
}

// address6 lexes an IPv6 address or prefix: at least two colons.
func (l *lexer) address6(tok *token) bool {
	end, colons := l.pos, 0
	for ; end < len(l.src); end++ {
		switch c := l.src[end]; {
		case classes[c]&digitClass != 0, c == '.', c == '/':
		case c == ':':
			colons++
		default:
			return colons >= 2 && l.address(end, tok)
		}
	}
	return colons >= 2 && l.address(end, tok)
}

func (l *lexer) address(end int, tok *token) bool {
	text := l.src[l.pos:end]
	if strings.IndexByte(text, '/') >= 0 {
		if _, err := netip.ParsePrefix(text); err != nil {
			return false
		}
	} else if _, err := netip.ParseAddr(text); err != nil {
		return false
	}
	*tok = token{kind: tokLiteral, lit: AddressLit, text: text, span: Span{int32(l.pos), int32(end)}}
	l.pos = end
	return true
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isLetter(c byte) bool { return c|0x20-'a' < 26 || c == '_' }
