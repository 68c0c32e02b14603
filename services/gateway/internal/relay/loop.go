package relay

import (
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// What follows is for event loops, which carry a Forward by themselves.

// Errors that a loop gives Fail, beside those of package upstream.
var (
	ErrBroken  = errBroken
	ErrTimeout = errTimeout
)

// Deadline is when the whole exchange has to be over, in Unix nanoseconds.
func (p *Plan) Deadline(x *exchange.Exchange) int64 { return p.route.deadline(x) }

// TryTimeout is how long a try may take until the answer's head; 0: no limit
// of its own.
func (p *Plan) TryTimeout() time.Duration { return p.route.Policy.TryTimeout }

// IdleTimeout is how long the answer's body may bring nothing.
func (p *Plan) IdleTimeout() time.Duration { return p.route.idle }

// MaxAttempts is how many tries there may be, beside those over connections
// that turn out to have been closed.
func (p *Plan) MaxAttempts() int { return p.route.maxAttempts }

// Repeatable tells methods of requests that may be sent again.
func Repeatable(method []byte) bool { return idempotent(method) }

// Fail makes the answer for an exchange that reached no answer.
func (r *Relay) Fail(x *exchange.Exchange, err error) { (&flight{relay: r, x: x}).failed(err) }

// CountRetry counts a try beyond the first.
func (r *Relay) CountRetry(x *exchange.Exchange) { r.metrics.retries.WithLabelValues(x.Cluster).Inc() }
