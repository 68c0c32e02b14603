package filter

import (
	"encoding/hex"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const traceparentLength = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// parseTraceparent reads a W3C traceparent of version 00, or the part of a
// later version that looks like it.
func parseTraceparent(text []byte) (exchange.Trace, bool) {
	if len(text) < traceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return exchange.Trace{}, false
	}
	var version, flags [1]byte
	var t exchange.Trace
	if !decodeHex(version[:], text) || !decodeHex(t.ID[:], text[3:]) || !decodeHex(t.Span[:], text[36:]) || !decodeHex(flags[:], text[53:]) {
		return exchange.Trace{}, false
	}
	if version[0] == 0xff || len(text) > traceparentLength && (version[0] == 0 || text[traceparentLength] != '-') {
		return exchange.Trace{}, false
	}
	if t.ID == ([16]byte{}) || t.Span == ([8]byte{}) {
		return exchange.Trace{}, false
	}
	t.Sampled = flags[0]&1 != 0
	return t, true
}

// decodeHex decodes as many lower-case digits as fill dst.
func decodeHex(dst, text []byte) bool {
	for i := range dst {
		high, low := digits[text[2*i]], digits[text[2*i+1]]
		if high|low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digits are the values of lower-case hexadecimal digits, 16 of all others.
var digits = func() (table [256]byte) {
	for i := range table {
		table[i] = 16
	}
	for i := range 10 {
		table['0'+i] = byte(i)
	}
	for i := range 6 {
		table['a'+i] = byte(10 + i)
	}
	return table
}()

// appendTraceparent writes a trace context of version 00.
func appendTraceparent(to []byte, t *exchange.Trace) []byte {
	to = append(to, "00-"...)
	to = hex.AppendEncode(to, t.ID[:])
	to = append(to, '-')
	to = hex.AppendEncode(to, t.Span[:])
	if t.Sampled {
		return append(to, "-01"...)
	}
	return append(to, "-00"...)
}

var tracing = exchange.SetOf(exchange.Traceparent, exchange.Tracestate)

// passTrace writes the exchange's trace context for the upstream. One that
// nobody sampled goes on as it came.
func passTrace(x *exchange.Exchange) {
	fields := &x.Request.Fields
	switch {
	case x.Trace.ID == [16]byte{}:
		fields.RemoveAll(tracing)
	case x.Span != nil || !fields.Has(exchange.Traceparent):
		var room [64]byte
		fields.Set(exchange.Traceparent, x.Arena.Copy(appendTraceparent(room[:0], &x.Trace)))
	}
}
