package h1

import (
	"bytes"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// ParseRequest reads the head of a request at the start of b into r, in views
// of b; fields are appended to r.Fields[:0]. n is the head's length; n == 0
// without an error: more bytes are needed. One empty line before the request
// is skipped and counted (RFC 9112 2.2). Where the request line or a field is
// wrong, or a limit passed, it says so as soon as it sees it, by an *Error.
//
// r.Length is Unknown for a chunked body. r.ServerEnd tells that the client
// keeps the connection no longer. Remote, TLS and Secure are left alone.
func ParseRequest(b []byte, r *exchange.Request, limits Limits) (n int, err error) {
	limits = limits.filled()
	at := 0
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		at = 2
	}
	at, err = requestLine(b, at, r, limits.Line)
	if at == 0 || err != nil {
		return 0, err
	}
	var s section
	r.Fields = r.Fields[:0]
	if n, err = s.parse(b, at, &r.Fields, &limits); n == 0 || err != nil {
		return 0, err
	}
	if err = s.apply(r); err != nil {
		return 0, err
	}
	return n, nil
}

// Worth tells whether parsing b again can tell more than it told when b was
// known long. A head that comes in many small pieces is so parsed at most once
// for each of its lines, whose number is bounded.
func Worth(b []byte, known int, limits Limits) bool {
	return known == 0 || bytes.IndexByte(b[known:], '\n') >= 0 || len(b) >= min(limits.filled().Head, limits.filled().Line)
}

// requestLine returns where the fields begin; 0: more bytes are needed.
func requestLine(b []byte, at int, r *exchange.Request, limit int) (int, error) {
	method := run(b, at, isToken)
	if method == len(b) {
		return 0, tooLong(method-at, limit)
	}
	if b[method] != ' ' || method == at {
		if at+1 == len(b) && b[at] == '\r' && at == 0 { // half of an empty line before the request
			return 0, nil
		}
		return 0, ErrMethod
	}
	start := method + 1
	end := run(b, start, isTarget)
	if end-at > limit {
		return 0, ErrLineLong
	}
	if end == len(b) {
		return 0, nil
	}
	if b[end] != ' ' {
		if b[end] == '\r' || b[end] == '\n' {
			return 0, ErrRequestLine
		}
		return 0, ErrTarget
	}
	if end == start {
		return 0, ErrRequestLine
	}
	next, err := version(b, end+1, &r.Protocol)
	if next == 0 || err != nil {
		return 0, err
	}
	r.Method = b[at:method:method]
	r.Authority, r.Path, r.Query, r.HasQuery = nil, nil, nil, false
	if string(r.Method) == "CONNECT" {
		return 0, ErrConnect
	}
	return next, target(b[start:end:end], r)
}

func tooLong(n, limit int) error {
	if n > limit {
		return ErrLineLong
	}
	return nil
}

// Alien tells whether bytes that were refused are of another protocol: three
// words in their first line, of which the last is no version of HTTP in any
// spelling. HTTP/2's preface gone wrong is such.
func Alien(b []byte) bool {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	words := bytes.Split(bytes.TrimSuffix(line, []byte{'\r'}), []byte{' '})
	if len(words) != 3 || len(words[2]) == 0 {
		return false
	}
	n := min(len(words[2]), len("HTTP"))
	return !exchange.EqualFold(words[2][:n], "HTTP"[:n])
}

const versionBytes = len("HTTP/1.1")

// version reads the version and the end of the request line. A minor version
// above 1 is taken for 1, as RFC 9110 2.5 says.
func version(b []byte, at int, protocol *exchange.Protocol) (next int, err error) {
	end := at + versionBytes
	if len(b) < end+2 {
		if bytes.IndexByte(b[at:], '\n') >= 0 {
			return 0, ErrRequestLine
		}
		if !bytes.HasPrefix(versionLine, b[at:min(len(b), at+len("HTTP/"))]) {
			return 0, ErrRequestLine
		}
		return 0, nil
	}
	v := b[at:end]
	if string(v[:5]) != "HTTP/" || class[v[5]]&class[v[7]]&isDigit == 0 || v[6] != '.' {
		return 0, ErrRequestLine
	}
	switch {
	case b[end] != '\r' && b[end] != '\n':
		return 0, ErrRequestLine
	case b[end] != '\r' || b[end+1] != '\n':
		return 0, ErrLineEnd
	case v[5] != '1':
		return 0, ErrVersion
	}
	*protocol = exchange.HTTP11
	if v[7] == '0' {
		*protocol = exchange.HTTP10
	}
	return end + 2, nil
}

var versionLine = []byte("HTTP/")

// apply gives the request what its fields of one connection say.
func (s *section) apply(r *exchange.Request) error {
	old := r.Protocol == exchange.HTTP10
	if err := s.authority(r, old); err != nil {
		return err
	}
	length, chunked, err := s.body(old)
	if err != nil {
		return err
	}
	if length == exchange.Unknown && !chunked {
		length = 0
	}
	r.Length, r.Expect = length, false
	if s.expect != nil && !old {
		if !exchange.EqualFold(s.expect, "100-continue") {
			return ErrExpect
		}
		r.Expect = length != 0
	}
	r.Upgrade, r.Trailers, r.ServerEnd = nil, s.trailers && !old, s.close || old && !s.keepAlive
	if !old {
		r.Upgrade = s.upgrade
	}
	return nil
}

// authority checks Host, which the absolute form has to agree with.
func (s *section) authority(r *exchange.Request, old bool) error {
	switch {
	case s.hosts > 1:
		return ErrHostTwice
	case s.hosts == 0 && old:
		return nil
	case s.hosts == 0:
		return ErrHostMissing
	case !ValidAuthority(s.host):
		return ErrHost
	case r.Authority == nil:
		r.Authority = s.host
	case !equal(r.Authority, s.host):
		return ErrHostDiffers
	}
	return nil
}
