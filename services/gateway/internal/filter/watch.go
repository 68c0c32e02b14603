package filter

import (
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// Watcher sees every exchange, those without a route as well.
type Watcher struct{ env *Env }

// Watcher of this Env.
func (e *Env) Watcher() *Watcher { return &Watcher{env: e} }

// Begin comes before anything else is done with an exchange. It sets x.Began
// where the engine has not, x.AskedHost, x.AskedPath, x.ID, x.From and x.Trace.
func (w *Watcher) Begin(x *exchange.Exchange) {
	e := w.env
	if x.Began.IsZero() {
		x.Began = e.config.Clock()
	}
	e.metrics.inFlight.Inc()
	x.AskedHost, x.AskedPath = x.Request.Authority, x.Request.Path
	if id := x.Request.Fields.Get(exchange.XRequestID); goodID(id) {
		x.ID = id
	} else {
		x.ID = newID(&x.Arena, x.Began)
	}
	x.From = from(x, e.config.TrustedHops)
	e.beginTrace(x)
}

// End comes once the answer has been sent or given up. c is the chain of the
// exchange's route, nil where it has none.
func (w *Watcher) End(x *exchange.Exchange, c *Chain) {
	e, s := w.env, w.env.none
	if c != nil {
		s = c.series
	}
	e.metrics.inFlight.Dec()
	class := x.Response.Status / 100
	if class < 0 || class > 5 {
		class = 0
	}
	s.classes[class].Inc()
	if x.Sent > 0 {
		s.sent.Add(float64(x.Sent))
	}
	end := e.config.Clock()
	s.duration.Observe(end.Sub(x.Began).Seconds())
	if e.config.AccessLog != nil && (x.Route == nil || !x.Route.Policy.NoAccessLog) {
		e.config.AccessLog.Append(x, end)
	}
	if x.Span != nil {
		endSpan(x, end)
	}
}
