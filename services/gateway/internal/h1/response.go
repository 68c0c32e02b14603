package h1

import "github.com/backlot-video/backlot/services/gateway/internal/exchange"

// Framing says how the body of an answer ends, and whether the connection can
// be used again after that.
type Framing struct {
	Chunked    bool // by its last chunk
	UntilClose bool // by the connection's end
	KeepAlive  bool
}

// ParseResponse reads the head of the answer to a request with a method at the
// start of b into r, in views of b; fields are appended to r.Fields[:0]. n is
// the head's length; n == 0 without an error: more bytes are needed. Interim
// answers (1xx) are answers too: the caller goes on to the next, but after 101.
// Any error means that the upstream is broken: 502.
func ParseResponse(b []byte, r *exchange.Response, method []byte, limits Limits) (n int, f Framing, err error) {
	limits = limits.filled()
	at, old, err := statusLine(b, &r.Status, limits.Head)
	if at == 0 || err != nil {
		return 0, f, err
	}
	var s section
	r.Fields = r.Fields[:0]
	if n, err = s.parse(b, at, &r.Fields, &limits); n == 0 || err != nil {
		return 0, f, err
	}
	if f, err = s.answer(r, string(method) == "HEAD", old); err != nil {
		return 0, f, err
	}
	return n, f, nil
}

// statusLine returns where the fields begin; 0: more bytes are needed. The
// reason, and the space before it, may be missing.
func statusLine(b []byte, status *int, limit int) (next int, old bool, err error) {
	const shortest = len("HTTP/1.1 200\r\n")
	if len(b) < shortest {
		for i, want := range []byte("HTTP/1.") {
			if i < len(b) && b[i] != want {
				return 0, false, ErrStatusLine
			}
		}
		return 0, false, nil
	}
	if string(b[:7]) != "HTTP/1." || class[b[7]]&class[b[9]]&class[b[10]]&class[b[11]]&isDigit == 0 || b[8] != ' ' || b[9] == '0' {
		return 0, false, ErrStatusLine
	}
	end := control(b, 12)
	for end < len(b) && b[end] == '\t' {
		end = control(b, end+1)
	}
	switch {
	case end > 12 && b[12] != ' ':
		return 0, false, ErrStatusLine
	case end+1 >= len(b):
		if end > limit {
			return 0, false, ErrHeadLong
		}
		return 0, false, nil
	case b[end] != '\r' || b[end+1] != '\n':
		return 0, false, ErrLineEnd
	}
	*status = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	return end + 2, b[7] == '0', nil
}

// answer gives the answer what its fields of one connection say (RFC 9112 6.3).
func (s *section) answer(r *exchange.Response, head, old bool) (f Framing, err error) {
	r.Upgrade, r.NoBody = nil, false
	length, chunked, err := s.body(old)
	if err != nil {
		return f, err
	}
	r.Length = length
	f.KeepAlive = !s.close && (!old || s.keepAlive)
	switch {
	case r.Status == 101:
		if s.upgrade == nil {
			return f, ErrConnection
		}
		r.Upgrade, r.NoBody, r.Length = s.upgrade, true, exchange.Unknown
		f.KeepAlive = false
	case r.Status < 200, r.Status == 204:
		r.NoBody, r.Length = true, exchange.Unknown
	case head, r.Status == 304:
		r.NoBody = true
	case chunked:
		f.Chunked = true
	case length == exchange.Unknown:
		f.UntilClose, f.KeepAlive = true, false
	}
	return f, nil
}
