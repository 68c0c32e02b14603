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
}

// next returns the next token. On a bad one it sets fault and returns tokEnd.
func (l *lexer) next() token {
	l.skip()
	start := l.pos
	if start >= len(l.src) {
		return token{span: Span{int32(start), int32(start)}}
	}
	first := !l.occupied
	l.occupied = true
	regex := l.regex
	l.regex = false
	c := l.src[start]
	switch {
	case isDigit(c):
		return l.number()
	case c == '"':
		return l.str()
	case c == '`':
		return l.quoted()
	case c == '@':
		return l.listName()
	case c == '/' && regex:
		return l.pattern()
	case c == ':' || isHex(c):
		if tok, ok := l.address6(); ok {
			return tok
		}
	}
	if c < utf8.RuneSelf && !isLetter(c) {
		return l.symbol()
	}
	if end := l.identEnd(start); end > start {
		l.pos = end
		text := l.src[start:end]
		word := words[text]
		l.regex = word == wordMatches
		return token{kind: tokIdent, word: word, first: first, text: text, span: Span{int32(start), int32(end)}}
	}
	return l.symbol()
}

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
	for i < len(l.src) {
		c := l.src[i]
		if c < utf8.RuneSelf {
			if isLetter(c) || c == '_' || (i > start && isDigit(c)) {
				i++
				continue
			}
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

func (l *lexer) symbol() token {
	start := l.pos
	c := l.src[start]
	if start+1 < len(l.src) {
		two := punct(c)<<8 | punct(l.src[start+1])
		switch two {
		case punctEq, punctNe, punctLe, punctGe, punctRange:
			l.pos += 2
			return token{kind: tokPunct, punct: two, span: Span{int32(start), int32(start + 2)}}
		}
	}
	if strings.IndexByte("()[]{},.:<>+-*/%=", c) >= 0 {
		l.pos++
		return token{kind: tokPunct, punct: punct(c), span: Span{int32(start), int32(start + 1)}}
	}
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
func (l *lexer) address6() (token, bool) {
	end, colons := l.pos, 0
	for end < len(l.src) && (isHex(l.src[end]) || strings.IndexByte(":./", l.src[end]) >= 0) {
		if l.src[end] == ':' {
			colons++
		}
		end++
	}
	if colons < 2 {
		return token{}, false
	}
	return l.address(end)
}

func (l *lexer) address(end int) (token, bool) {
	text := l.src[l.pos:end]
	if _, err := netip.ParseAddr(text); err != nil {
		if _, err := netip.ParsePrefix(text); err != nil {
			return token{}, false
		}
	}
	tok := token{kind: tokLiteral, lit: AddressLit, text: text, span: Span{int32(l.pos), int32(end)}}
	l.pos = end
	return tok, true
}

func isDigit(c byte) bool { return c-'0' < 10 }

func isLetter(c byte) bool { return c|0x20-'a' < 26 || c == '_' }

func isHex(c byte) bool { return isDigit(c) || (c|0x20)-'a' < 6 }
