package relay

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/backlot-video/backlot/services/gateway/internal/adapt"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

var (
	get  = []byte(http.MethodGet)
	head = []byte(http.MethodHead)
)

// media opens what the signed address grants, nothing else.
func (r *Relay) media(ctx context.Context, x *exchange.Exchange, plan *Plan) error {
	q := &x.Request
	if !bytes.Equal(q.Method, get) && !bytes.Equal(q.Method, head) {
		x.Refuse(http.StatusMethodNotAllowed, "unimplemented", "media is read by GET and HEAD", "method")
		return r.answer(x, plan)
	}
	signed, object, _ := bytes.Cut(q.Path[min(len(plan.route.Path), len(q.Path)):], []byte{'/'})
	grant, err := plan.route.chain.Media(signed, x.Began)
	if err != nil {
		x.Refuse(http.StatusForbidden, "permission_denied", "media address: "+err.Error(), "grant")
		return r.answer(x, plan)
	}
	if len(object) == 0 {
		x.Refuse(http.StatusNotFound, "not_found", "media address names no object", "no_object")
		return r.answer(x, plan)
	}
	name, err := url.PathUnescape(string(bytes.TrimLeft(object, "/")))
	if err != nil {
		x.Refuse(http.StatusBadRequest, "invalid_argument", "media address: malformed escape", "path")
		return r.answer(x, plan)
	}
	bucket := plan.route.Bucket
	handler := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.config.Media.ServeMedia(w, request, bucket, grant.GetPrefix()+name)
	})
	return r.web(ctx, x, plan, handler)
}

func (r *Relay) console(ctx context.Context, x *exchange.Exchange, plan *Plan) error {
	if r.config.Console == nil {
		x.Refuse(http.StatusNotFound, "not_found", "this gateway has no console", "no_console")
		return r.answer(x, plan)
	}
	return r.web(ctx, x, plan, r.config.Console)
}

// web has a handler of net/http answer, within the route's time.
func (r *Relay) web(ctx context.Context, x *exchange.Exchange, plan *Plan, handler http.Handler) error {
	if limit := plan.route.Policy.Timeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	pinned := *plan
	return adapt.Serve(ctx, x, handler, func() filter.Encoder {
		r.Answered(x, &pinned)
		return r.Encoder(x, &pinned)
	})
}
