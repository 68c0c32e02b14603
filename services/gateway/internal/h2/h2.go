// Package h2 speaks HTTP/2 (RFC 9113): to clients as an engine whose streams
// are exchanges, and to upstreams as a pool of connections whose streams are
// calls. It has its own layer of frames, with one buffer per connection into
// which all streams write and that goes out in one system call.
//
//	h2.go        limits, error codes
//	frame.go     the bytes of frames
//	static.go    HPACK's static table
//	encode.go    heads into header blocks, without state
//	decode.go    header blocks into heads, and what makes a head malformed
//	request.go   rules of requests
//	response.go  rules of answers
//	queue.go     bytes of a body that came and were not read yet
//	conn.go      what both sides of a connection share; the reading loop
//	receive.go   frames that came
//	write.go     frames that go
//	stream.go    one stream: flow control both ways
//	calm.go      bounds on frames that cost the peer nothing
//	server.go    Server and its connections
//	worker.go    goroutines that serve streams
//	client.go    exchange.Client of a stream
//	context.go   the context of a stream
//	transport.go Transport, which carries exchanges to upstreams
//	pool.go      the connections to one upstream
//	upstream.go  one of them
//	call.go      Call, one request to an upstream
//	metric.go    metrics
//
// Priorities are ignored, nothing is pushed, and the encoder uses no dynamic
// table. Who calls may use several goroutines: one that reads a stream beside
// one that writes it.
package h2

import (
	"errors"
	"fmt"
	"time"
)

// Preface is what a client's connection begins with.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Limits of a connection. Zero members mean the defaults.
type Limits struct {
	MaxStreams    int           // open at once on a connection; default 250
	MaxHeader     int           // bytes of a head as RFC 9113 counts them (32 a field on top); default 64 KiB
	StreamWindow  int           // bytes of a stream's body held here; default 1 MiB
	ConnWindow    int           // and of all streams of a connection; default 1 MiB
	HeaderTimeout time.Duration // from the first to the last frame of a head, and for the preface; default 10 s
	IdleTimeout   time.Duration // without streams; default 2 min
	WriteTimeout  time.Duration // in which the peer takes bytes, or opens its window; default 1 min
}

func (l Limits) withDefaults() Limits {
	set := func(value *int, fallback, most int) {
		if *value <= 0 {
			*value = fallback
		}
		*value = min(*value, most)
	}
	set(&l.MaxStreams, 250, 1<<20)
	set(&l.MaxHeader, 64<<10, 1<<24)
	set(&l.StreamWindow, 1<<20, maxWindow)
	set(&l.ConnWindow, 1<<20, maxWindow)
	l.StreamWindow, l.ConnWindow = max(l.StreamWindow, 1<<10), max(l.ConnWindow, defaultWindow)
	span := func(value *time.Duration, fallback time.Duration) {
		if *value <= 0 {
			*value = fallback
		}
	}
	span(&l.HeaderTimeout, 10*time.Second)
	span(&l.IdleTimeout, 2*time.Minute)
	span(&l.WriteTimeout, time.Minute)
	return l
}

// Code is an error code of RFC 9113, section 7.
type Code uint32

// The codes.
const (
	NoError            Code = 0x0
	ProtocolError      Code = 0x1
	InternalError      Code = 0x2
	FlowControlError   Code = 0x3
	SettingsTimeout    Code = 0x4
	StreamClosed       Code = 0x5
	FrameSizeError     Code = 0x6
	RefusedStream      Code = 0x7
	Cancel             Code = 0x8
	CompressionError   Code = 0x9
	ConnectError       Code = 0xa
	EnhanceYourCalm    Code = 0xb
	InadequateSecurity Code = 0xc
	HTTP11Required     Code = 0xd
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String is the name in the RFC.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "unknown"
}

// ConnError ends a connection.
type ConnError struct {
	Code   Code
	Reason string
}

// Error implements error.
func (e *ConnError) Error() string {
	return fmt.Sprintf("http/2 connection: %s (%s)", e.Reason, e.Code)
}

// StreamError ends a stream.
type StreamError struct {
	Code   Code
	Reason string
	Remote bool // the peer reset it
}

// Error implements error.
func (e *StreamError) Error() string { return fmt.Sprintf("http/2 stream: %s (%s)", e.Reason, e.Code) }

// errClosed is a connection whose peer has closed it.
var errClosed = errors.New("http/2 connection: closed")

// Unprocessed tells errors that say that the peer has not acted on a request,
// which can be sent again, whatever it is.
func Unprocessed(err error) bool {
	var fault *StreamError
	return errors.As(err, &fault) && fault.Remote && fault.Code == RefusedStream
}

func protocolError(reason string) error { return &ConnError{Code: ProtocolError, Reason: reason} }

func malformed(reason string) error { return &StreamError{Code: ProtocolError, Reason: reason} }
