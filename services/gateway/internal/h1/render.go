package h1

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// RequestOptions are what a connection to an upstream adds to a request.
type RequestOptions struct {
	Host  []byte // where the request has no authority (HTTP/1.0)
	Close bool   // the connection is not kept
}

// AppendRequest appends the head of a request as an upstream gets it. A body
// of Unknown length is chunked. Expect is not sent: the engine answers it.
func AppendRequest(to []byte, r *exchange.Request, o RequestOptions) []byte {
	to = append(to, r.Method...)
	to = append(to, ' ')
	to = append(to, r.Path...)
	if r.HasQuery {
		to = append(to, '?')
		to = append(to, r.Query...)
	}
	to = append(to, " HTTP/1.1\r\nHost: "...)
	if len(r.Authority) > 0 {
		to = append(to, r.Authority...)
	} else {
		to = append(to, o.Host...)
	}
	to = append(to, "\r\n"...)
	to = appendFields(to, r.Fields)
	switch {
	case r.Length == exchange.Unknown:
		to = append(to, "Transfer-Encoding: chunked\r\n"...)
	case r.Length > 0 || bodied(r.Method):
		to = appendLength(to, r.Length)
	}
	switch {
	case r.Upgrade != nil:
		to = append(to, "Connection: Upgrade\r\nUpgrade: "...)
		to = appendValue(to, r.Upgrade)
	case r.Trailers && o.Close:
		to = append(to, "Te: trailers\r\nConnection: Te, close\r\n"...)
	case r.Trailers:
		to = append(to, "Te: trailers\r\nConnection: Te\r\n"...)
	case o.Close:
		to = append(to, "Connection: close\r\n"...)
	}
	return append(to, "\r\n"...)
}

// bodied tells the methods of which a body is expected, so that there not
// being one is said (RFC 9110 8.6).
func bodied(method []byte) bool {
	switch string(method) {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return false
}

// ResponseOptions are what a connection to a client adds to an answer.
type ResponseOptions struct {
	Protocol exchange.Protocol // of the request
	Close    bool              // the connection ends after the answer
	Date     []byte            // for answers without one; nil: none is added
}

// Chunks tells whether the body of an answer has to be sent in chunks.
func Chunks(r *exchange.Response, o ResponseOptions) bool {
	return r.Length == exchange.Unknown && !r.NoBody && r.Status >= 200 && o.Protocol == exchange.HTTP11
}

// EndsConnection tells whether the body of an answer can only be ended by
// closing the connection; o.Close is to be set then.
func EndsConnection(r *exchange.Response, o ResponseOptions) bool {
	return r.Length == exchange.Unknown && !r.NoBody && r.Status >= 200 && o.Protocol == exchange.HTTP10
}

// AppendResponse appends the head of an answer as a client gets it. A client
// of HTTP/1.0 whose connection is kept is told so.
func AppendResponse(to []byte, r *exchange.Response, o ResponseOptions) []byte {
	to = appendStatus(to, r.Status)
	if o.Date != nil && r.Status >= 200 && !r.Fields.Has(exchange.Date) {
		to = append(to, "Date: "...)
		to = append(to, o.Date...)
		to = append(to, "\r\n"...)
	}
	to = appendFields(to, r.Fields)
	if r.Status >= 200 && r.Status != http.StatusNoContent {
		switch {
		case r.Length >= 0:
			to = appendLength(to, r.Length)
		case Chunks(r, o):
			to = append(to, "Transfer-Encoding: chunked\r\n"...)
		}
	}
	switch {
	case r.Status == http.StatusSwitchingProtocols:
		to = append(to, "Connection: Upgrade\r\nUpgrade: "...)
		to = appendValue(to, r.Upgrade)
	case r.Status < 200:
	case o.Close:
		to = append(to, "Connection: close\r\n"...)
	case o.Protocol == exchange.HTTP10:
		to = append(to, "Connection: keep-alive\r\n"...)
	}
	return append(to, "\r\n"...)
}

// statusLines of the statuses that have a name, by number.
var statusLines [600]string

func init() {
	for status := range statusLines {
		if text := http.StatusText(status); text != "" {
			statusLines[status] = "HTTP/1.1 " + strconv.Itoa(status) + " " + text + "\r\n"
		}
	}
}

func appendStatus(to []byte, status int) []byte {
	if status > 0 && status < len(statusLines) && statusLines[status] != "" {
		return append(to, statusLines[status]...)
	}
	to = append(to, "HTTP/1.1 "...)
	to = strconv.AppendInt(to, int64(status), 10)
	return append(to, " \r\n"...)
}

func appendLength(to []byte, n int64) []byte {
	to = append(to, "Content-Length: "...)
	to = strconv.AppendInt(to, n, 10)
	return append(to, "\r\n"...)
}

func appendFields(to []byte, fields exchange.Fields) []byte {
	for i := range fields {
		if fields[i].ID == exchange.Removed {
			continue
		}
		to = appendField(to, fields[i].Name, fields[i].Value)
	}
	return to
}

// appendField appends a line of a header, whose room is made at once.
func appendField(to, name, value []byte) []byte {
	start := len(to) + len(name) + 2
	to = slices.Grow(to, len(name)+len(value)+4)[:start+len(value)+2]
	copy(to[start-len(name)-2:], name)
	to[start-2], to[start-1] = ':', ' '
	copy(to[start:], value)
	to[len(to)-2], to[len(to)-1] = '\r', '\n'
	if control(value, 0) < len(value) { // what was just written is slow to be read again
		clean(to[:len(to)-2], start)
	}
	return to
}

// appendValue appends a value and the end of its line. Values may come from
// where control characters are allowed (claims of tokens, templates): such are
// made spaces, so that no value can begin a line of its own.
func appendValue(to, value []byte) []byte {
	start := len(to)
	to = append(to, value...)
	clean(to, start)
	return append(to, "\r\n"...)
}

// clean puts spaces in the place of control characters but tabs.
func clean(b []byte, at int) {
	for at = control(b, at); at < len(b); at = control(b, at+1) {
		if b[at] != '\t' {
			b[at] = ' '
		}
	}
}
