package relay

import (
	"context"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

// Go does what Decide left: what waits. It answers x in full; see
// exchange.Handler.
func (r *Relay) Go(ctx context.Context, x *exchange.Exchange, plan Plan) error {
	err := r.serve(ctx, x, &plan)
	r.watcher.End(x, plan.chain())
	return err
}

func (r *Relay) serve(ctx context.Context, x *exchange.Exchange, plan *Plan) error {
	if plan.block {
		switch plan.route.chain.Block(ctx, x) {
		case filter.Next:
			r.aim(x, plan)
		default:
			plan.Kind = Answer
		}
	}
	if plan.Kind == Answer {
		return r.answer(x, plan)
	}
	switch plan.route.Target {
	case edge.ToMedia:
		return r.media(ctx, x, plan)
	case edge.ToConsole:
		return r.console(ctx, x, plan)
	default:
		return r.forward(ctx, x, plan)
	}
}
