package accesslog

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const (
	maxPath  = 2 << 10
	maxAgent = 256
)

// appendLine writes an exchange as one JSON object and a line end.
func appendLine(to []byte, x *exchange.Exchange, end time.Time) []byte {
	to = append(to, `{"time":"`...)
	to = appendTime(to, x.Began)
	to = append(to, `","id":`...)
	to = exchange.AppendQuoted(to, x.ID)
	if x.Trace.Sampled {
		to = append(to, `,"trace":"`...)
		to = hex.AppendEncode(to, x.Trace.ID[:])
		to = append(to, '"')
	}
	to = append(to, `,"client":"`...)
	if x.From.IsValid() {
		to = x.From.AppendTo(to)
	}
	to = append(to, `","method":`...)
	to = exchange.AppendQuoted(to, cut(x.Request.Method, 32))
	to = append(to, `,"host":`...)
	to = exchange.AppendQuoted(to, cut(x.AskedHost, maxAgent))
	to = append(to, `,"path":`...)
	to = appendPath(to, x)
	to = append(to, `,"protocol":"`...)
	to = append(to, x.Request.Protocol.String()...)
	to = append(to, `","status":`...)
	to = strconv.AppendInt(to, int64(x.Response.Status), 10)
	if x.Route != nil {
		to = append(to, `,"route":`...)
		to = exchange.AppendQuoted(to, x.Route.Name)
	}
	to = appendTarget(to, x)
	to = append(to, `,"received":`...)
	to = strconv.AppendInt(to, x.Received, 10)
	to = append(to, `,"sent":`...)
	to = strconv.AppendInt(to, x.Sent, 10)
	to = append(to, `,"duration_us":`...)
	to = strconv.AppendInt(to, max(end.Sub(x.Began).Microseconds(), 0), 10)
	if agent := x.Request.Fields.Get(exchange.UserAgent); agent != nil {
		to = append(to, `,"agent":`...)
		to = exchange.AppendQuoted(to, cut(agent, maxAgent))
	}
	if x.Fault != "" {
		to = append(to, `,"fault":`...)
		to = exchange.AppendQuoted(to, x.Fault)
	}
	return append(to, "}\n"...)
}

// appendTarget tells which endpoint was asked, after how many tries.
func appendTarget(to []byte, x *exchange.Exchange) []byte {
	if x.Cluster != "" {
		to = append(to, `,"cluster":`...)
		to = exchange.AppendQuoted(to, x.Cluster)
	}
	if x.Upstream != "" {
		to = append(to, `,"upstream":`...)
		to = exchange.AppendQuoted(to, x.Upstream)
		to = append(to, `,"attempts":`...)
		to = strconv.AppendInt(to, int64(x.Attempts), 10)
	}
	return to
}

// appendPath writes the path; that of media without the grant in it, which
// opens what it names to everybody who reads it.
func appendPath(to []byte, x *exchange.Exchange) []byte {
	if x.Route == nil || x.Route.Target != edge.ToMedia {
		return exchange.AppendQuoted(to, cut(x.AskedPath, maxPath))
	}
	// The path by which the route was found: what came may be written in
	// another way, and hide the grant elsewhere.
	path := x.Request.Path
	path = path[min(len(x.Route.Path), len(path)):]
	_, object, _ := bytes.Cut(path, []byte{'/'})
	to = exchange.AppendQuoted(to, x.Route.Path)
	to = append(to[:len(to)-1], `-/`...)
	at := len(to)
	to = exchange.AppendQuoted(to, cut(object, maxPath))
	// The two strings become one: the second one's opening quote goes.
	return append(to[:at], to[at+1:]...)
}

func cut(text []byte, most int) []byte { return text[:min(len(text), most)] }

// appendTime writes RFC 3339 with microseconds, in UTC.
func appendTime(to []byte, t time.Time) []byte {
	year, month, day := t.UTC().Date()
	hour, minute, second := t.UTC().Clock()
	to = appendDigits(to, year, 4)
	to = append(to, '-')
	to = appendDigits(to, int(month), 2)
	to = append(to, '-')
	to = appendDigits(to, day, 2)
	to = append(to, 'T')
	to = appendDigits(to, hour, 2)
	to = append(to, ':')
	to = appendDigits(to, minute, 2)
	to = append(to, ':')
	to = appendDigits(to, second, 2)
	to = append(to, '.')
	to = appendDigits(to, t.Nanosecond()/1000, 6)
	return append(to, 'Z')
}

func appendDigits(to []byte, n, width int) []byte {
	start := len(to)
	for range width {
		to = append(to, '0')
	}
	for i := start + width - 1; i >= start; i-- {
		to[i] = byte('0' + n%10)
		n /= 10
	}
	return to
}
