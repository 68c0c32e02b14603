// Package urlpath knows the paths of URLs: their one normal form, and path
// templates with the rewrites over what they capture. The configstore checks
// routes by it, the gateway matches by it, so that both mean the same.
//
//	normal.go    Normal
//	template.go  Template, its regular expression for xDS, rewrites
//
// It does no I/O and knows nothing of requests.
package urlpath

import "bytes"

// Normal brings a path into the one form in which routes are matched and
// upstreams get it, so that both read it alike:
//
//   - escapes of letters, digits, `-`, `.`, `_` and `~` are decoded; those that
//     stay have upper-case digits;
//   - `//` becomes `/`, `/./` goes, `/../` takes the segment before it along;
//   - `%2F`, `%5C` and `\` stay, and separate nothing.
//
// It is refused (400) where it does not begin with a slash; an escape is not
// one; a byte is a control character, raw or escaped as `%00`; `..` leads above
// the root; or a segment would be `.` or `..` for who takes `%2F`, `%5C` or `\`
// for a slash, or decodes `%252e` once more.
//
// A path that is normal already is returned itself; another is appended to to.
func Normal(to, path []byte) (normal []byte, ok bool) {
	if len(path) == 0 || path[0] != '/' {
		return nil, false
	}
	if isNormal(path) {
		return path, true
	}
	from := len(to)
	for rest := path[1:]; ; {
		segment, after, more := bytes.Cut(rest, slash)
		start := len(to)
		to = append(to, '/')
		if to, ok = appendSegment(to, segment); !ok {
			return nil, false
		}
		switch string(to[start:]) {
		case "/":
			if more {
				to = to[:start]
			}
		case "/.":
			to = dropped(to, start, more)
		case "/..":
			if start == from {
				return nil, false
			}
			to = dropped(to, from+bytes.LastIndexByte(to[from:start], '/'), more)
		}
		if !more {
			break
		}
		rest = after
	}
	if len(to) == from {
		to = append(to, '/')
	}
	return to, true
}

// dropped cuts a dot segment; where it was the last, its slash stays.
func dropped(to []byte, start int, more bool) []byte {
	if more {
		return to[:start]
	}
	return append(to[:start], '/')
}

var slash = []byte{'/'}

// isNormal tells that nothing is to be changed or refused.
func isNormal(path []byte) bool {
	for i, c := range path {
		if plain[c] {
			continue
		}
		if c != '/' && c != '.' {
			return false
		}
		if i > 0 && path[i-1] == '/' {
			return false
		}
	}
	return true
}

// plain are the bytes that need no second look.
var plain = func() (table [256]bool) {
	for c := range table {
		table[c] = c > ' ' && c != 0x7f && c != '/' && c != '.' && c != '%' && c != '\\'
	}
	return table
}()

// appendSegment decodes what may be decoded and refuses what is dangerous.
func appendSegment(to, segment []byte) ([]byte, bool) {
	start := len(to)
	hidden := false
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		switch {
		case c < ' ' || c == 0x7f:
			return nil, false
		case c == '\\' || c == ';':
			hidden = true
			to = append(to, c)
		case c == '%':
			decoded, ok := Escaped(segment[i:])
			if !ok || decoded < ' ' || decoded == 0x7f {
				return nil, false
			}
			i += 2
			if unreserved(decoded) {
				to = append(to, decoded)
				break
			}
			hidden = hidden || decoded == '/' || decoded == '\\' || decoded == '%' || decoded == ';'
			to = append(to, '%', upperHex[decoded>>4], upperHex[decoded&15])
		default:
			to = append(to, c)
		}
	}
	return to, !hidden || !hidesDots(to[start:])
}

const upperHex = "0123456789ABCDEF"

func unreserved(c byte) bool {
	return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9') ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// hidesDots tells whether a segment holds `.` or `..` between separators, as
// somebody would read it who decodes until nothing is left to decode, takes
// backslashes for slashes and cuts parameters off at `;`.
func hidesDots(segment []byte) bool {
	dots, only := 0, true // dots of the part, and that it has nothing else
	for i := 0; i < len(segment); {
		c, used := decodeAll(segment[i:])
		i += used
		switch c {
		case '/', '\\':
			if only && (dots == 1 || dots == 2) {
				return true
			}
			dots, only = 0, true
		case ';':
			if only && (dots == 1 || dots == 2) {
				return true
			}
			only = false
		case '.':
			dots++
		default:
			only = false
		}
	}
	return only && (dots == 1 || dots == 2)
}

// decodeAll decodes one byte at the start of a text as often as it can:
// `%252e` is `%2e` is `.`.
func decodeAll(text []byte) (c byte, used int) {
	c, used = text[0], 1
	for c == '%' {
		rest := text[used:]
		if len(rest) < 2 || hex(rest[0]) > 15 || hex(rest[1]) > 15 {
			return c, used
		}
		c, used = hex(rest[0])<<4|hex(rest[1]), used+2
	}
	return c, used
}

// Escaped decodes the escape whose `%` is a text's first byte; ok is false where
// no two hexadecimal digits follow.
func Escaped(text []byte) (c byte, ok bool) {
	if len(text) < 3 {
		return 0, false
	}
	high, low := hex(text[1]), hex(text[2])
	return high<<4 | low, high < 16 && low < 16
}

// hex is the value of a digit, 255 for none.
func hex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}
