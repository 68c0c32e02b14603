package h1

import (
	"bytes"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const keptConnections = 4

// section is what a header says of its connection and its body's framing.
type section struct {
	host      []byte
	length    []byte
	coding    []byte
	upgrade   []byte
	expect    []byte
	hosts     int
	lengths   int
	codings   int
	options   [keptConnections][]byte // values of Connection
	lines     int                     // of Connection
	trailers  bool                    // TE: trailers
	close     bool
	keepAlive bool
	upgrades  bool
}

// line parses the field line that begins at b[at]. next is 0 where more bytes
// are needed; name is empty at the empty line that ends the section.
func line(b []byte, at int) (name, value []byte, next int, err error) {
	colon := run(b, at, isToken)
	if colon == len(b) {
		return nil, nil, 0, nil
	}
	if b[colon] != ':' || colon == at {
		return endLine(b, at, colon)
	}
	start := colon + 1
	for start < len(b) && (b[start] == ' ' || b[start] == '\t') {
		start++
	}
	end := control(b, start)
	for end < len(b) && b[end] == '\t' {
		end = control(b, end+1)
	}
	switch {
	case end == len(b), end+1 == len(b) && b[end] == '\r':
		return nil, nil, 0, nil
	case b[end] == '\n', b[end] == '\r' && b[end+1] != '\n':
		return nil, nil, 0, ErrLineEnd
	case b[end] != '\r':
		return nil, nil, 0, ErrValue
	}
	next = end + 2
	for end > start && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	return b[at:colon:colon], b[start:end:end], next, nil
}

// endLine is the empty line at the end of a section, or the reason why a line
// has no name; stop is where its token ends.
func endLine(b []byte, at, stop int) (name, value []byte, next int, err error) {
	switch c := b[stop]; {
	case stop > at && (c == '\r' || c == '\n'), stop == at && c == ':':
		return nil, nil, 0, ErrName
	case stop > at:
		return nil, nil, 0, ErrName
	case c == ' ' || c == '\t':
		return nil, nil, 0, ErrFold
	case c == '\n':
		return nil, nil, 0, ErrLineEnd
	case c != '\r':
		return nil, nil, 0, ErrName
	case at+1 == len(b):
		return nil, nil, 0, nil
	case b[at+1] != '\n':
		return nil, nil, 0, ErrLineEnd
	}
	return nil, nil, at + 2, nil
}

// parse reads the field section that begins at b[at], end to end of which is
// returned; 0: more bytes are needed. Fields of one connection go into s, the
// others are appended to fields.
func (s *section) parse(b []byte, at int, fields *exchange.Fields, limits *Limits) (int, error) {
	for lines := 0; ; lines++ {
		name, value, next, err := line(b, at)
		switch {
		case err != nil:
			return 0, err
		case next == 0 && len(b) >= limits.Head, next > limits.Head:
			return 0, ErrHeadLong
		case next == 0:
			return 0, nil
		case name == nil:
			return next, s.finish(*fields)
		case lines == limits.Fields:
			return 0, ErrFields
		}
		at = next
		id := exchange.NameOf(name)
		if id == exchange.Other {
			if twin(name) {
				return 0, ErrTwin
			}
		} else if s.keep(id, value) {
			continue
		}
		*fields = append(*fields, exchange.Field{ID: id, Name: name, Value: value})
	}
}

// keep takes a field of one connection out of the section.
func (s *section) keep(id exchange.Name, value []byte) bool {
	switch id {
	case exchange.Host:
		s.host = value
		s.hosts++
	case exchange.ContentLength:
		s.length = value
		s.lengths++
	case exchange.TransferEncoding:
		s.coding = value
		s.codings++
	case exchange.Connection:
		if s.lines < keptConnections {
			s.options[s.lines] = value
		}
		s.lines++
	case exchange.Upgrade:
		s.upgrade = value
	case exchange.Expect:
		s.expect = value
	case exchange.TE:
		s.trailers = s.trailers || contains(value, "trailers")
	case exchange.KeepAlive, exchange.ProxyConnection:
	default:
		return false
	}
	return true
}

// finish reads Connection and removes what it names. Fields of framing stand
// in s already, where no option can reach them.
func (s *section) finish(fields exchange.Fields) error {
	if s.lines > keptConnections {
		return ErrConnection
	}
	for _, rest := range s.options[:s.lines] {
		for len(rest) > 0 {
			var option []byte
			option, rest = cut(rest)
			switch {
			case len(option) == 0:
			case !ValidName(option):
				return ErrConnection
			case exchange.EqualFold(option, "close"):
				s.close = true
			case exchange.EqualFold(option, "keep-alive"):
				s.keepAlive = true
			case exchange.EqualFold(option, "upgrade"):
				s.upgrades = true
			default:
				remove(fields, option)
			}
		}
	}
	if !s.upgrades || !singleProtocol(s.upgrade) {
		s.upgrade = nil
	}
	return nil
}

// singleProtocol tells whether one protocol is offered that may be relayed.
// h2c would be a connection of which we no longer see the requests.
func singleProtocol(upgrade []byte) bool {
	slash := bytes.IndexByte(upgrade, '/')
	if slash >= 0 && !ValidName(upgrade[slash+1:]) {
		return false
	}
	if slash < 0 {
		slash = len(upgrade)
	}
	return ValidName(upgrade[:slash]) && !exchange.EqualFold(upgrade[:slash], "h2c")
}

// size reads Content-Length; -1: there is none.
func (s *section) size() (int64, error) {
	switch {
	case s.lengths == 0:
		return exchange.Unknown, nil
	case s.lengths > 1:
		return 0, ErrLengthTwice
	case len(s.length) == 0 || len(s.length) > 19 || run(s.length, 0, isDigit) != len(s.length):
		return 0, ErrLength
	}
	var n uint64 // 19 digits fit
	for _, digit := range s.length {
		n = n*10 + uint64(digit-'0')
	}
	if n > 1<<63-1 {
		return 0, ErrLength
	}
	return int64(n), nil
}

// body is the length of a body by Content-Length and Transfer-Encoding.
// Neither: Unknown and not chunked.
func (s *section) body(old bool) (length int64, chunked bool, err error) {
	length, err = s.size()
	switch {
	case err != nil:
		return 0, false, err
	case s.codings == 0:
		return length, false, nil
	case s.lengths > 0:
		return 0, false, ErrLengthCoding
	case old:
		return 0, false, ErrCodingOld
	case s.codings > 1:
		return 0, false, ErrCoding
	case !exchange.EqualFold(s.coding, "chunked"):
		return 0, false, codingError(s.coding)
	}
	return exchange.Unknown, true, nil
}

// codingError tells a list that ends with its only chunked, of which we do
// not serve the rest, from one that gives no framing at all.
func codingError(list []byte) error {
	for len(list) > 0 {
		var coding []byte
		coding, list = cut(list)
		chunked := exchange.EqualFold(coding, "chunked")
		if !ValidName(coding) || chunked != (len(list) == 0) {
			return ErrCoding
		}
		if chunked {
			return ErrCodingUnknown
		}
	}
	return ErrCoding
}

// contains tells whether a list has a member, whose parameters are not looked at.
func contains(list []byte, member string) bool {
	for len(list) > 0 {
		var found []byte
		if found, list = cut(list); exchange.EqualFold(found, member) {
			return true
		}
	}
	return false
}

// remove marks the lines of a name.
func remove(fields exchange.Fields, name []byte) {
	for i := range fields {
		if equal(fields[i].Name, name) {
			fields[i].ID = exchange.Removed
		}
	}
}

// equal compares ASCII without regard to case.
func equal(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// twin tells Content_Length and Transfer_Encoding, which upstreams behind CGI,
// WSGI and the like cannot tell from the real ones.
func twin(name []byte) bool {
	switch len(name) {
	case len("content_length"):
		return name[7] == '_' && exchange.EqualFold(name, "content_length")
	case len("transfer_encoding"):
		return name[8] == '_' && exchange.EqualFold(name, "transfer_encoding")
	}
	return false
}
