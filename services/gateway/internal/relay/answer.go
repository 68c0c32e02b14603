package relay

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// answer sends an answer of the gateway's own.
func (r *Relay) answer(x *exchange.Exchange, plan *Plan) error {
	speakGRPC(x)
	plan.chain().Response(x)
	head := string(x.Request.Method) == http.MethodHead
	x.Response.NoBody = x.Response.NoBody || head
	if err := x.Client.WriteHead(&x.Response); err != nil {
		return err
	}
	if !x.Response.NoBody && len(x.Answer) > 0 {
		if _, err := x.Client.WriteBody(x.Answer); err != nil {
			x.Client.Abort()
			return err
		}
	}
	return x.Client.End(nil)
}

// redirect answers with another address.
func redirect(x *exchange.Exchange, r *edge.Route) {
	d, q := r.Redirect, &x.Request
	location := make([]byte, 0, 256)
	switch {
	case d.Scheme != "":
		location = append(location, d.Scheme...)
	case q.Secure:
		location = append(location, "https"...)
	default:
		location = append(location, "http"...)
	}
	location = append(location, "://"...)
	location = appendHost(location, d, q.Authority)
	switch {
	case d.Path != "":
		location = append(location, d.Path...)
	case d.PrefixRewrite != "":
		location = (&edge.Route{Path: r.Path, Exact: r.Exact, PrefixRewrite: d.PrefixRewrite}).AppendPath(location, q.Path)
	default:
		location = append(location, q.Path...)
	}
	if q.HasQuery && !d.StripQuery {
		location = append(append(location, '?'), q.Query...)
	}
	x.Response = exchange.Response{Status: d.Status, Fields: x.Response.Fields[:0]}
	x.Response.Fields.Set(exchange.Location, x.Arena.Copy(location))
	x.Answer = nil
}

func appendHost(to []byte, d *edge.Redirect, authority []byte) []byte {
	if d.Host == "" && d.Port == 0 {
		return append(to, authority...)
	}
	if d.Host != "" {
		to = append(to, d.Host...)
	} else {
		to = append(to, hostname(authority)...)
	}
	if d.Port != 0 {
		to = append(to, ':')
		to = strconv.AppendUint(to, uint64(d.Port), 10)
	}
	return to
}

// hostname is an authority without its port; brackets stay.
func hostname(authority []byte) []byte {
	colon := bytes.LastIndexByte(authority, ':')
	if colon < 0 || bytes.IndexByte(authority[colon:], ']') >= 0 {
		return authority
	}
	return authority[:colon]
}

// fixed answers with what the configuration says.
func fixed(x *exchange.Exchange, a *edge.Answer) {
	x.Response = exchange.Response{Status: a.Status, Length: int64(len(a.Body)), Fields: x.Response.Fields[:0]}
	if a.ContentType != "" {
		x.Response.Fields.Set(exchange.ContentType, x.Arena.CopyString(a.ContentType))
	}
	x.Answer = a.Body
}

// errTimeout is the end of an exchange's or a try's time.
var errTimeout = errors.New("the service did not answer in time")

// tooMuch is a body beyond the route's limit.
type tooMuch struct{ limit int64 }

// Error implements error.
func (tooMuch) Error() string { return "request body is too large" }

// failed makes the answer for an exchange that reached no answer.
func (f *flight) failed(err error) {
	x := f.x
	var much tooMuch
	switch {
	case errors.As(err, &much):
		tooLarge(x, much.limit)
	case errors.Is(err, exchange.ErrMalformed):
		x.Refuse(http.StatusBadRequest, "invalid_argument", "request body: malformed framing", "malformed")
		x.Request.ServerEnd = true
	case errors.Is(err, exchange.ErrTooSlow):
		x.Refuse(http.StatusRequestTimeout, "deadline_exceeded", "request body: did not come in time", "slow_client")
		x.Request.ServerEnd = true
	case errors.Is(err, upstream.ErrFull), errors.Is(err, upstream.ErrOpen), errors.Is(err, upstream.ErrNoEndpoint):
		unavailable(x, err)
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded):
		x.Refuse(http.StatusGatewayTimeout, "deadline_exceeded", errTimeout.Error(), "timeout")
	default:
		f.relay.config.Log.Warn("upstream failed", "cluster", x.Cluster, "upstream", x.Upstream, "err", err)
		x.Refuse(http.StatusBadGateway, "unavailable", "the service could not be reached", "upstream")
	}
}

// unavailable answers for a cluster that takes nothing now.
func unavailable(x *exchange.Exchange, err error) {
	fault := "no_endpoint"
	switch {
	case errors.Is(err, upstream.ErrFull):
		fault = "full"
	case errors.Is(err, upstream.ErrOpen):
		fault = "open"
	}
	x.Refuse(http.StatusServiceUnavailable, "unavailable", cause(err), fault)
	after := int64(upstream.RetryAfter(err) / time.Second)
	x.Response.Fields.Set(exchange.RetryAfter, x.Arena.Int(max(1, after)))
}

func cause(err error) string {
	for _, known := range []error{upstream.ErrFull, upstream.ErrOpen, upstream.ErrNoEndpoint} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the service is unavailable"
}
