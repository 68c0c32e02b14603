package service

import (
	"context"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/h2"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
	"github.com/backlot-video/backlot/services/gateway/internal/upstream"
)

// http2 is a relay.Transport.
type http2 struct{ *h2.Transport }

// Open implements relay.Transport.
func (t http2) Open(ctx context.Context, x *exchange.Exchange, e *upstream.Endpoint, more bool) (relay.Call, error) {
	call, err := t.Transport.Open(ctx, x, e, more)
	if err != nil {
		return nil, err
	}
	return call, nil
}

// Unprocessed implements relay.Transport.
func (http2) Unprocessed(err error) bool { return h2.Unprocessed(err) }
