package syntax

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/backlot-video/backlot/kit/money"
)

// number lexes what begins with a digit: integers (1_000), decimals (2.5),
// money (500.00 CNY), durations (1h30m), times (2026-11-22T02:00+08:00) and
// IPv4 addresses and prefixes (10.0.0.0/8).
func (l *lexer) number(tok *token) {
	var value Fill
	lit, end := l.common(&value)
	if end == 0 {
		*tok = l.rare()
		return
	}
	*tok = token{kind: tokLiteral, lit: lit, num: value.Int, float: value.Float, text: value.Str, span: Span{int32(l.pos), int32(end)}}
	l.pos = end
}

// rare lexes numbers of any form.
func (l *lexer) rare() token {
	if tok, ok := l.timestamp(); ok {
		return tok
	}
	var tok token
	if end := l.dotted(); end > 0 {
		if l.address(end, &tok) {
			return tok
		}
		return l.fail(l.pos, end, "bad IP address '"+l.src[l.pos:end]+"'", "as in 10.0.0.1 or 10.0.0.0/8")
	}
	if l.address6(&tok) {
		return tok
	}
	start := l.pos
	whole, overflow, i := l.digits(start)
	end, decimals := i, -1
	if i+1 < len(l.src) && l.src[i] == '.' && isDigit(l.src[i+1]) {
		for end = i + 1; end < len(l.src) && isDigit(l.src[end]); end++ {
		}
		decimals = end - i - 1
	}
	if code := l.currencyAt(end); code != "" {
		return l.money(start, end, decimals, code)
	}
	if end < len(l.src) && isLetter(l.src[end]) {
		if decimals < 0 {
			return l.duration()
		}
		return l.fail(start, l.identEnd(end), "a number cannot be followed by letters", "durations are written in whole units, as in 1h30m")
	}
	l.pos = end
	tok = token{kind: tokLiteral, lit: IntLit, num: whole, span: Span{int32(start), int32(end)}}
	if decimals >= 0 {
		value, err := strconv.ParseFloat(strings.ReplaceAll(l.src[start:end], "_", ""), 64)
		if err != nil {
			return l.fail(start, end, "number out of range", "")
		}
		tok.lit, tok.num, tok.float = FloatLit, 0, value
		return tok
	}
	if overflow {
		return l.fail(start, end, "number out of range", "the largest is 9223372036854775807")
	}
	return tok
}

// common reads most numbers: few digits with or without decimals, a currency
// or a unit, where what follows cannot make them more. For others end is 0.
func (l *lexer) common(fill *Fill) (lit LiteralKind, end int) {
	src, i, decimals := l.src, l.pos, -1
	var value int64
	for i < len(src) && i < l.pos+maxPlain && isDigit(src[i]) {
		value = value*10 + int64(src[i]-'0')
		i++
	}
	if i+1 < len(src) && src[i] == '.' && isDigit(src[i+1]) {
		point := i
		for i++; i < len(src) && i < l.pos+maxPlain && isDigit(src[i]); i++ {
			value = value*10 + int64(src[i]-'0')
		}
		decimals = i - point - 1
	}
	if i+1 >= len(src) {
		return 0, 0
	}
	switch src[i] {
	case ',', ')', ']', '\n', '}':
	case ' ':
		next := i + 1
		for next < len(src) && src[next] == ' ' {
			next++
		}
		if next < len(src) && src[next]-'A' < 26 {
			fill.Int = value
			fill.Str, end = l.amount(decimals, i, next)
			return MoneyLit, end
		}
	case '.':
		if src[i+1] != '.' || decimals >= 0 {
			return 0, 0
		}
	default:
		micros := l.unit(i)
		if decimals >= 0 || micros == 0 || value > math.MaxInt64/micros {
			return 0, 0
		}
		fill.Int = value * micros
		return DurationLit, i + 1
	}
	if decimals < 0 {
		fill.Int = value
		return IntLit, i
	}
	float, err := strconv.ParseFloat(src[l.pos:i], 64)
	if err != nil {
		return 0, 0
	}
	fill.Float = float
	return FloatLit, i
}

// amount reads the currency that stands at a place, behind a number that ends
// before it, if both are as usual. Otherwise its end is 0.
func (l *lexer) amount(decimals, end, at int) (code string, stop int) {
	stop = at + 3
	if stop >= len(l.src) || l.src[at+1]-'A' >= 26 || l.src[at+2]-'A' >= 26 || classes[l.src[stop]]&identClass != 0 || l.src[stop] >= utf8.RuneSelf {
		return "", 0
	}
	code = l.src[at:stop]
	if code != l.currency { // mostly it is that of the amount before
		exponent, known := money.Exponent(code)
		if !known {
			return "", 0
		}
		l.currency, l.exponent = code, exponent
	}
	if l.exponent != decimals || end-l.pos > maxPlain {
		return "", 0
	}
	return code, stop
}

// unit is how many microseconds the unit that stands at a place has, 0 where
// there is none that ends a literal.
func (l *lexer) unit(at int) int64 {
	switch l.src[at+1] {
	case ' ', ')', ',', ']', '\n':
	default:
		return 0
	}
	switch l.src[at] {
	case 's':
		return 1e6
	case 'm':
		return 60e6
	case 'h':
		return 3600e6
	case 'd':
		return 24 * 3600e6
	case 'w':
		return 7 * 24 * 3600e6
	}
	return 0
}

// maxPlain is how many digits certainly fit.
const maxPlain = 17

// digits reads digits and underscores from i.
func (l *lexer) digits(i int) (value int64, overflow bool, end int) {
	for ; i < len(l.src); i++ {
		c := l.src[i]
		if c == '_' && i+1 < len(l.src) && isDigit(l.src[i+1]) {
			continue
		}
		if !isDigit(c) {
			break
		}
		if value > (math.MaxInt64-int64(c-'0'))/10 {
			overflow = true
			continue
		}
		value = value*10 + int64(c-'0')
	}
	return value, overflow, i
}

// dotted returns the end of what has the form of an IPv4 address, or 0.
func (l *lexer) dotted() int {
	i, dots := l.pos, 0
	for i < len(l.src) && (isDigit(l.src[i]) || l.src[i] == '.') {
		if l.src[i] == '.' {
			if i+1 >= len(l.src) || !isDigit(l.src[i+1]) {
				return 0
			}
			dots++
		}
		i++
	}
	if dots != 3 {
		return 0
	}
	if i+1 < len(l.src) && l.src[i] == '/' && isDigit(l.src[i+1]) {
		for i++; i < len(l.src) && isDigit(l.src[i]); i++ {
		}
	}
	return i
}

// currencyAt returns the three capital letters that follow i, after spaces.
func (l *lexer) currencyAt(i int) string {
	for i < len(l.src) && l.src[i] == ' ' {
		i++
	}
	if i+3 > len(l.src) || l.identEnd(i) != i+3 {
		return ""
	}
	for _, c := range []byte(l.src[i : i+3]) {
		if c < 'A' || c > 'Z' {
			return ""
		}
	}
	return l.src[i : i+3]
}

// money lexes an amount; the number is [start, end) with so many decimals, or
// -1 where it has no point.
func (l *lexer) money(start, end, decimals int, code string) token {
	stop := end + strings.Index(l.src[end:], code) + 3
	want, known := money.Exponent(code)
	if !known {
		return l.fail(stop-3, stop, "unknown currency '"+code+"'", similarCurrency(code))
	}
	if decimals > want {
		return l.fail(start, end, "amounts in "+code+" have "+strconv.Itoa(want)+" decimals", "")
	}
	minor, fits := int64(0), true
	for _, c := range []byte(l.src[start:end]) {
		if isDigit(c) {
			minor, fits = tenfold(minor, c, fits)
		}
	}
	for range want - max(decimals, 0) {
		minor, fits = tenfold(minor, '0', fits)
	}
	if !fits {
		return l.fail(start, stop, "amount out of range", "")
	}
	l.pos = stop
	return token{kind: tokLiteral, lit: MoneyLit, num: minor, text: code, span: Span{int32(start), int32(stop)}}
}

// tenfold appends a digit to a number.
func tenfold(value int64, digit byte, fits bool) (int64, bool) {
	if !fits || value > (math.MaxInt64-int64(digit-'0'))/10 {
		return value, false
	}
	return value*10 + int64(digit-'0'), true
}

var units = map[string]time.Duration{
	"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute,
	"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// duration lexes 7d, 1h30m, 500ms. Its value is in microseconds.
func (l *lexer) duration() token {
	start, i := l.pos, l.pos
	var total int64
	for i < len(l.src) && isDigit(l.src[i]) {
		value, overflow, unit := l.digits(i)
		end := unit
		for end < len(l.src) && isLetter(l.src[end]) {
			end++
		}
		size, ok := units[l.src[unit:end]]
		if !ok {
			return l.fail(start, max(end, l.identEnd(unit)), "unknown unit '"+l.src[unit:end]+"'", "units are us, ms, s, m, h, d and w, as in 1h30m")
		}
		micros := size.Microseconds()
		if overflow || value > (math.MaxInt64-total)/micros {
			return l.fail(start, end, "duration out of range", "")
		}
		total += value * micros
		i = end
	}
	l.pos = i
	return token{kind: tokLiteral, lit: DurationLit, num: total, span: Span{int32(start), int32(i)}}
}

// timestamp lexes an RFC 3339 time; seconds may be left out.
func (l *lexer) timestamp() (token, bool) {
	s := l.src[l.pos:]
	if len(s) < 11 || s[4] != '-' || s[7] != '-' || s[10] != 'T' {
		return token{}, false
	}
	end := 11
	for end < len(s) && (isDigit(s[end]) || s[end] == ':' || (s[end] == '.' && end+1 < len(s) && isDigit(s[end+1]))) {
		end++
	}
	switch {
	case end < len(s) && s[end] == 'Z':
		end++
	case end+6 <= len(s) && (s[end] == '+' || s[end] == '-'):
		end += 6
	}
	for _, layout := range [...]string{"2006-01-02T15:04Z07:00", time.RFC3339Nano} {
		if at, err := time.Parse(layout, s[:end]); err == nil {
			start := l.pos
			l.pos += end
			return token{kind: tokLiteral, lit: TimeLit, num: at.UnixMicro(), span: Span{int32(start), int32(l.pos)}}, true
		}
	}
	return l.fail(l.pos, l.pos+end, "bad time '"+s[:end]+"'", "as in 2026-11-22T02:00+08:00"), true
}
