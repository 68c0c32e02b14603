package accesslog

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const (
	maxPath  = 2 << 10
	maxAgent = 256
)

// appendLine writes an exchange as one JSON object and a line end.
func appendLine(to []byte, x *exchange.Exchange, end time.Time, last *atomic.Pointer[second]) []byte {
	to = append(to, `{"time":"`...)
	to = appendTime(to, x.Began, last)
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

// second is a second as lines begin with it: RFC 3339 in UTC, without
// fraction.
type second struct {
	unix int64
	text [len("2006-01-02T15:04:05")]byte
}

// appendTime writes RFC 3339 with microseconds, in UTC. A second is made a text
// once: the calendar costs more than the rest of a line.
func appendTime(to []byte, t time.Time, last *atomic.Pointer[second]) []byte {
	now := last.Load()
	if unix := t.Unix(); now == nil || now.unix != unix {
		made := &second{unix: unix}
		t.UTC().AppendFormat(made.text[:0], "2006-01-02T15:04:05")
		last.Store(made)
		now = made
	}
	to = append(to, now.text[:]...)
	to = append(to, '.')
	micros := t.Nanosecond() / 1000
	for weight := 100_000; weight > 0; weight /= 10 {
		to = append(to, byte('0'+micros/weight%10))
	}
	return append(to, 'Z')
}
