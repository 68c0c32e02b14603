package h1

import (
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// longestChunkLine bounds a size with its extensions, which are dropped.
const longestChunkLine = 256

// freeWaste is how many bytes of framing a body may have beyond 16 for each
// chunk and twice its data, so that long extensions cannot keep us busy.
const freeWaste = 16 << 10

type chunkState uint8

const (
	inSize chunkState = iota
	inData
	inDataEnd
	inTrailers
	inEnd
)

// Chunked decodes a chunked body. Its zero value is ready; Reset makes it so
// again. A buffer in which a whole line of the trailers fits is needed: 8 KiB.
type Chunked struct {
	Limits Limits // of the trailers

	state    chunkState
	left     int64 // of a chunk's data
	waste    int64
	section  int // bytes of trailers
	trailers exchange.Fields
	kept     []byte // what trailers are views of
}

// Reset makes the decoder ready for another body. Trailers are no longer good.
func (c *Chunked) Reset() {
	*c = Chunked{Limits: c.Limits, trailers: c.trailers[:0], kept: c.kept[:0]}
}

// Trailers that came, without those that are not allowed there: framing,
// routing, authentication and what describes the body (RFC 9110 6.5.1). They
// are complete once Next has said done, and good until Reset.
func (c *Chunked) Trailers() exchange.Fields { return c.trailers }

// Ahead tells how many bytes of data of the current chunk are still to come,
// for who moves them by other means and says so by Skip.
func (c *Chunked) Ahead() int64 {
	if c.state != inData {
		return 0
	}
	return c.left
}

// Skip tells that n bytes of the current chunk's data, at most Ahead, have
// been taken.
func (c *Chunked) Skip(n int64) {
	c.waste -= 2 * n
	if c.left -= n; c.left == 0 {
		c.state = inDataEnd
	}
}

// Next decodes from the start of b. data is a view of the next bytes of the
// body, used how many bytes of b are done with. No data and not done: more
// bytes are needed after b[used:]. Bytes after the end of the body are not used.
func (c *Chunked) Next(b []byte) (data []byte, used int, done bool, err error) {
	for {
		n := 0
		switch c.state {
		case inSize:
			n, err = c.size(b[used:])
		case inData:
			data = b[used:]
			if int64(len(data)) > c.left {
				data = data[:c.left]
			}
			c.Skip(int64(len(data)))
			return data, used + len(data), false, nil
		case inDataEnd:
			n, err = dataEnd(b[used:])
			if n > 0 {
				c.state = inSize
			}
		case inTrailers:
			n, err = c.trailer(b[used:])
		case inEnd:
			return nil, used, true, nil
		}
		if n == 0 || err != nil {
			return nil, used, false, err
		}
		used += n
		if c.waste += int64(n); c.waste > freeWaste+int64(c.section) {
			return nil, used, false, ErrChunkWaste
		}
	}
}

// size reads the line that begins a chunk.
func (c *Chunked) size(b []byte) (n int, err error) {
	end := control(b, 0)
	for end < len(b) && b[end] == '\t' {
		end = control(b, end+1)
	}
	digits := run(b[:end], 0, isHex)
	switch {
	case end > longestChunkLine:
		return 0, ErrChunkLine
	case digits == 0 && len(b) > 0, digits > 16:
		return 0, ErrChunkSize
	case end > digits && b[digits] != ';' && b[digits] != ' ' && b[digits] != '\t':
		return 0, ErrChunkLine
	case end+1 >= len(b) && (end == len(b) || b[end] == '\r'):
		return 0, nil
	case b[end] != '\r' || b[end+1] != '\n':
		return 0, ErrLineEnd
	case !extensions(b[digits:end]):
		return 0, ErrChunkLine
	}
	var size uint64
	for _, c := range b[:digits] {
		size = size<<4 | uint64(hexValue(c))
	}
	if size > 1<<63-1 {
		return 0, ErrChunkSize
	}
	c.waste = max(0, c.waste-16)
	c.left, c.state = int64(size), inData
	if size == 0 {
		c.state = inTrailers
	}
	return end + 2, nil
}

// extensions tells whether what follows a size is extensions: a semicolon, a
// name, and perhaps a value, which is a token or quoted (RFC 9112 7.1.1).
func extensions(b []byte) bool {
	for len(b) > 0 {
		b = trimLeft(b)
		if len(b) == 0 || b[0] != ';' {
			return false
		}
		b = trimLeft(b[1:])
		name := run(b, 0, isToken)
		if name == 0 {
			return false
		}
		if b = b[name:]; len(trimLeft(b)) > 0 && trimLeft(b)[0] == '=' {
			value := trimLeft(trimLeft(b)[1:])
			end := run(value, 0, isToken)
			if len(value) > 0 && value[0] == '"' {
				end = quoted(value)
			}
			if end == 0 {
				return false
			}
			b = value[end:]
		}
	}
	return true
}

// quoted is the length of a quoted string at the start of b; 0: there is none.
func quoted(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return 0
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	return b
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// dataEnd reads the CRLF after a chunk's data.
func dataEnd(b []byte) (n int, err error) {
	switch {
	case len(b) > 0 && b[0] != '\r', len(b) > 1 && b[1] != '\n':
		return 0, ErrChunkEnd
	case len(b) < 2:
		return 0, nil
	}
	return 2, nil
}

// trailer reads one line of the trailers.
func (c *Chunked) trailer(b []byte) (n int, err error) {
	limits := c.Limits.filled()
	name, value, next, err := line(b, 0)
	switch {
	case err != nil:
		return 0, err
	case next == 0 && c.section+len(b) >= limits.Head, c.section+next > limits.Head:
		return 0, ErrHeadLong
	case next == 0 && len(b) >= limits.Line:
		return 0, ErrHeadLong
	case next == 0:
		return 0, nil
	case name == nil:
		c.state = inEnd
		return next, nil
	case len(c.trailers) == limits.Fields:
		return 0, ErrFields
	}
	c.section += next
	if id := exchange.NameOf(name); trails(id, name) {
		start := len(c.kept)
		c.kept = append(append(c.kept, name...), value...)
		middle := start + len(name)
		c.trailers.Add(id, c.kept[start:middle:middle], c.kept[middle:len(c.kept):len(c.kept)])
	}
	return next, nil
}

// trails tells whether a field may be a trailer.
func trails(id exchange.Name, name []byte) bool {
	switch id { //nolint:exhaustive // the others may
	case exchange.Other:
		return !twin(name) && !exchange.EqualFold(name, "max-forwards")
	case exchange.Age, exchange.Authorization, exchange.CacheControl, exchange.Connection, exchange.ContentEncoding,
		exchange.ContentLength, exchange.ContentRange, exchange.ContentType, exchange.Cookie, exchange.Date,
		exchange.Expect, exchange.Forwarded, exchange.Host, exchange.KeepAlive, exchange.Location,
		exchange.BacklotPrincipal, exchange.ProxyAuthenticate, exchange.ProxyAuthorization, exchange.ProxyConnection,
		exchange.Range, exchange.RetryAfter, exchange.SetCookie, exchange.TE, exchange.Trailer,
		exchange.TransferEncoding, exchange.Upgrade, exchange.Vary, exchange.WWWAuthenticate, exchange.XAPIKey,
		exchange.XForwardedFor, exchange.XForwardedHost, exchange.XForwardedProto:
		return false
	}
	return true
}
