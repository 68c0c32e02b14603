// Package h1 is the bytes of HTTP/1.1 and 1.0: a strict parser of the heads of
// requests and answers, their rendering, and the chunked coding both ways.
//
//	h1.go        Limits, Error
//	class.go     which bytes may stand where
//	field.go     field lines, and those of one connection among them
//	request.go   heads of requests
//	target.go    request targets and authorities
//	response.go  heads of answers
//	render.go    heads as we send them
//	chunked.go   the chunked coding: decoder
//	encode.go    the chunked coding: encoder
//
// It does no I/O, keeps nothing and allocates nothing: what is parsed is views
// of the caller's bytes. It is stricter than RFC 9112 requires where leniency
// lets two readers see two different messages: lines end by CRLF only (a bare
// LF or CR is refused), there is no folding, no space before a colon, one Host,
// one Content-Length of digits alone, and Transfer-Encoding is `chunked` alone,
// never beside a Content-Length. What a message is refused for is an *Error
// with the status to answer.
package h1

import "net/http"

// Limits bound what a peer may send. Zero fields mean the defaults.
type Limits struct {
	Line   int // bytes of a request line; default 8 KiB
	Head   int // bytes of a whole head, and of the trailers; default 32 KiB
	Fields int // lines of a head, and of the trailers; default 100
}

// The defaults: a line as RFC 9112 recommends at least, lines about as HAProxy.
const (
	DefaultLine   = 8 << 10
	DefaultHead   = 32 << 10
	DefaultFields = 100
)

func (l Limits) filled() Limits {
	if l.Line == 0 {
		l.Line = DefaultLine
	}
	if l.Head == 0 {
		l.Head = DefaultHead
	}
	if l.Fields == 0 {
		l.Fields = DefaultFields
	}
	return l
}

// Error is a message that is refused. Errors are constants, compared by
// identity, and hold nothing of the message.
type Error struct {
	Status int // to answer a client with; an answer of an upstream is 502 always
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// StatusOf is the status to answer a refused request with.
func StatusOf(err error) int {
	if refused, is := err.(*Error); is { //nolint:errorlint // the parser's own, never wrapped
		return refused.Status
	}
	return http.StatusBadRequest
}

func bad(reason string) *Error { return &Error{http.StatusBadRequest, reason} }

// What requests and answers are refused for.
var (
	ErrLineEnd       = bad("line: must end by CRLF; a bare CR or LF is refused")
	ErrRequestLine   = bad("request line: must be `method target version`, with one space between")
	ErrMethod        = bad("request line: method must be a token")
	ErrTarget        = bad("request line: target must be an absolute path, an http URI, or * of OPTIONS, in printable ASCII without #")
	ErrLineLong      = &Error{http.StatusRequestURITooLong, "request line: too long"}
	ErrConnect       = &Error{http.StatusNotImplemented, "request line: CONNECT is not served"}
	ErrVersion       = &Error{http.StatusHTTPVersionNotSupported, "request line: version must be HTTP/1.1 or HTTP/1.0"}
	ErrHeadLong      = &Error{http.StatusRequestHeaderFieldsTooLarge, "header: too large"}
	ErrFields        = &Error{http.StatusRequestHeaderFieldsTooLarge, "header: too many lines"}
	ErrFold          = bad("header: a line must not begin with a space; folded lines are refused")
	ErrName          = bad("header: a name must be a token, with the colon right after it")
	ErrValue         = bad("header: a value must not hold control characters")
	ErrHostMissing   = bad("Host: missing")
	ErrHostTwice     = bad("Host: must be there once")
	ErrHost          = bad("Host: must be a name or address with an optional port")
	ErrHostDiffers   = bad("Host: must be the target's authority")
	ErrLength        = bad("Content-Length: must be digits of a 63-bit number")
	ErrLengthTwice   = bad("Content-Length: must be there once")
	ErrLengthCoding  = bad("Content-Length: must not stand beside Transfer-Encoding")
	ErrCoding        = bad("Transfer-Encoding: must be there once, and end with one chunked")
	ErrCodingUnknown = &Error{http.StatusNotImplemented, "Transfer-Encoding: only chunked is served"}
	ErrCodingOld     = bad("Transfer-Encoding: is not of HTTP/1.0")
	ErrConnection    = bad("Connection: too many lines, or not a list of tokens")
	ErrExpect        = &Error{http.StatusExpectationFailed, "Expect: only 100-continue is served"}
	ErrTwin          = bad("header: a framing field's name with underscores")
	ErrStatusLine    = bad("status line: must be `version status reason`")
	ErrChunkSize     = bad("chunk: size must be hexadecimal digits of a 63-bit number")
	ErrChunkLine     = bad("chunk: malformed or too long extension")
	ErrChunkEnd      = bad("chunk: data must be followed by CRLF")
	ErrChunkWaste    = bad("chunk: far more framing than data")
)
