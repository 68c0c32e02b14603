package h1

import (
	"bytes"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

var slash = []byte("/")

// target reads a request target, which is not empty and in bytes of isTarget,
// into r: path, query and, of the absolute form, authority.
func target(b []byte, r *exchange.Request) error {
	switch {
	case b[0] == '/':
	case len(b) == 1 && b[0] == '*':
		if string(r.Method) != "OPTIONS" {
			return ErrTarget
		}
	default:
		rest, err := absolute(b, r)
		if err != nil {
			return err
		}
		b = rest
	}
	r.Path = b
	if mark := bytes.IndexByte(b, '?'); mark >= 0 {
		r.Path, r.Query, r.HasQuery = b[:mark:mark], b[mark+1:], true
	}
	if len(r.Path) == 0 {
		r.Path = slash
	}
	return nil
}

// absolute reads scheme and authority of the absolute form.
func absolute(b []byte, r *exchange.Request) (rest []byte, err error) {
	colon := bytes.IndexByte(b, ':')
	if colon < 0 || len(b) < colon+3 || b[colon+1] != '/' || b[colon+2] != '/' {
		return nil, ErrTarget
	}
	if scheme := b[:colon]; !exchange.EqualFold(scheme, "http") && !exchange.EqualFold(scheme, "https") {
		return nil, ErrTarget
	}
	rest = b[colon+3:]
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if !ValidAuthority(rest[:end]) {
		return nil, ErrTarget
	}
	r.Authority = rest[:end:end]
	return rest[end:], nil
}

// ValidAuthority tells whether b is a host, name or address, with an optional
// port, and without user. Names may hold %XX but not the sub-delims that RFC
// 3986 allows besides: no real name has them, and a comma would be two names.
func ValidAuthority(b []byte) bool {
	end := 0
	if len(b) > 0 && b[0] == '[' {
		end = bytes.IndexByte(b, ']') + 1
		if end < len("[::]") || !validLiteral(b[1:end-1]) {
			return false
		}
	} else {
		for end < len(b) && b[end] != ':' {
			switch {
			case class[b[end]]&isHost != 0:
				end++
			case b[end] == '%' && end+2 < len(b) && class[b[end+1]]&class[b[end+2]]&isHex != 0:
				end += 3
			default:
				return false
			}
		}
	}
	return end > 0 && validPort(b[end:])
}

// validLiteral is loose about where the colons stand: what matters is that
// nothing else can hide in it.
func validLiteral(b []byte) bool {
	colons := 0
	for _, c := range b {
		switch {
		case c == ':':
			colons++
		case c != '.' && class[c]&isHex == 0:
			return false
		}
	}
	return colons >= 2
}

func validPort(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	port := 0
	for _, c := range b[1:] {
		if class[c]&isDigit == 0 {
			return false
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return false
		}
	}
	return b[0] == ':'
}
