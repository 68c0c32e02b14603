package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

const (
	defaultAuthzTime = time.Second
	maxAuthzBody     = 1 << 20
	maxAuthzAnswer   = 1 << 20
	// checkURL: the transport knows where the cluster is.
	checkURL = "http://ext-authz/envoy.service.auth.v3.Authorization/Check"
)

// authz asks a service whether a request may pass, by Envoy's ext_authz v3.
type authz struct {
	client    *connect.Client[authv3.CheckRequest, authv3.CheckResponse]
	timeout   time.Duration
	allowDown bool
	maxBody   int
	context   map[string]string
	headers   map[string]struct{} // in lower case; nil: all
	took      prometheus.Observer
}

func (e *Env) compileAuthz(policy *edge.ExtAuthz, config *edge.Config) (*authz, error) {
	if policy == nil {
		return nil, nil
	}
	if _, found := config.Clusters[policy.Cluster]; !found {
		return nil, fmt.Errorf("cluster: %q does not exist", policy.Cluster)
	}
	if e.config.Transport == nil {
		return nil, errors.New("this gateway has no way to call clusters by itself")
	}
	if policy.MaxBody < 0 || policy.MaxBody > maxAuthzBody {
		return nil, fmt.Errorf("max_body_bytes: must be between 0 and %d", maxAuthzBody)
	}
	a := &authz{
		client: connect.NewClient[authv3.CheckRequest, authv3.CheckResponse](
			doer{e.config.Transport(policy.Cluster)}, checkURL, connect.WithGRPC(), connect.WithReadMaxBytes(maxAuthzAnswer)),
		timeout: policy.Timeout, allowDown: policy.AllowDown, maxBody: policy.MaxBody, context: policy.Context,
		took: e.metrics.authz.WithLabelValues(policy.Cluster),
	}
	if a.timeout <= 0 {
		a.timeout = defaultAuthzTime
	}
	for _, name := range policy.Headers {
		if !isToken(name) {
			return nil, fmt.Errorf("headers: %q is not a header name", name)
		}
		if a.headers == nil {
			a.headers = map[string]struct{}{}
		}
		a.headers[strings.ToLower(name)] = struct{}{}
	}
	return a, nil
}

// doer is a RoundTripper as Connect wants it; nothing is redirected.
type doer struct{ http.RoundTripper }

// Do implements connect.HTTPClient.
func (d doer) Do(r *http.Request) (*http.Response, error) { return d.RoundTrip(r) }

// externally asks the service and does as it says; false where the request is
// answered.
func (c *Chain) externally(ctx context.Context, x *exchange.Exchange) bool {
	a := c.authz
	request := a.request(x)
	if a.maxBody > 0 {
		whole, err := hold(x, a.maxBody)
		if err != nil {
			c.refuse(x, 400, "invalid_argument", "request body: could not be read", causeAuthzBody)
			x.Request.ServerEnd = true
			return false
		}
		setBody(request.GetAttributes().GetRequest().GetHttp(), x.Held, whole)
	}
	x.Request.Fields.Remove(exchange.Authorization)
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	began := c.env.config.Clock()
	answer, err := a.client.CallUnary(ctx, connect.NewRequest(request))
	a.took.Observe(c.env.config.Clock().Sub(began).Seconds())
	if err == nil && answer.Msg.GetErrorResponse() != nil {
		err = errors.New("the service says that it failed")
	}
	if err != nil {
		return c.unanswered(x, err)
	}
	if answer.Msg.GetStatus().GetCode() != 0 {
		c.denied(x, answer.Msg.GetDeniedResponse())
		return false
	}
	allowed(x, answer.Msg.GetOkResponse())
	return true
}

// unanswered lets pass where that is wanted.
func (c *Chain) unanswered(x *exchange.Exchange, err error) bool {
	if c.authz.allowDown {
		c.env.metrics.refused.WithLabelValues(c.route.Name, "authz_down_allowed").Inc()
		return true
	}
	c.env.config.Log.Debug("external authorization did not answer", "route", c.route.Name, "err", err)
	c.refuse(x, 503, "unavailable", "it cannot be found out now whether the request may pass", causeAuthzDown)
	x.Response.Fields.Set(exchange.RetryAfter, oneSecond)
	return false
}

var oneSecond = []byte("1")

// hold reads the beginning of the body, up to a bound; what was read is given
// again by x.ReadBody. It tells whether that is all of it.
func hold(x *exchange.Exchange, most int) (whole bool, err error) {
	if x.Request.Length == 0 {
		return true, nil
	}
	room := most
	if x.Request.Length > 0 {
		room = int(min(int64(most), x.Request.Length))
	}
	held := make([]byte, 0, room)
	for len(held) < room {
		n, err := x.Client.ReadBody(held[len(held):room])
		held = held[:len(held)+n]
		if errors.Is(err, io.EOF) {
			x.Held, x.HeldAll = held, true
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	x.Held = held
	// The framing's end is still to be read, by who reads the rest.
	return int64(len(held)) == x.Request.Length, nil
}

// denied makes the answer that the service wants.
func (c *Chain) denied(x *exchange.Exchange, answer *authv3.DeniedHttpResponse) {
	c.refuse(x, 403, "permission_denied", "not allowed", causeDenied)
	if status := int(answer.GetStatus().GetCode()); status >= 200 && status < 600 {
		x.Response.Status = status
	}
	fields := &x.Response.Fields
	if answer.GetBody() != "" || len(answer.GetHeaders()) > 0 {
		fields.Remove(exchange.ContentType)
		x.Answer = []byte(answer.GetBody())
		x.Response.Length = int64(len(x.Answer))
	}
	for _, option := range answer.GetHeaders() {
		apply(fields, option, true)
	}
}

// allowed edits the request as the service wants.
func allowed(x *exchange.Exchange, answer *authv3.OkHttpResponse) {
	for _, name := range answer.GetHeadersToRemove() {
		if mayEdit(name) == nil {
			x.Request.Fields.RemoveName(name)
		}
	}
	for _, option := range answer.GetHeaders() {
		apply(&x.Request.Fields, option, false)
	}
	for _, option := range answer.GetResponseHeadersToAdd() {
		apply(&x.Late, option, true)
	}
	for _, name := range answer.GetQueryParametersToRemove() {
		cutQuery(x, name)
	}
	for _, parameter := range answer.GetQueryParametersToSet() {
		setQuery(x, parameter.GetKey(), parameter.GetValue())
	}
}

// apply sets or adds a header. Where the service does not say which, headers
// of the request are set and those of the answer are added, as Envoy does.
// What no header may be is left out.
func apply(fields *exchange.Fields, option *corev3.HeaderValueOption, add bool) {
	header := option.GetHeader()
	name, value := header.GetKey(), header.GetValue()
	if value == "" && len(header.GetRawValue()) > 0 {
		value = string(header.GetRawValue())
	}
	if mayEdit(name) != nil || !isFieldValue(value) || value == "" && !option.GetKeepEmptyValue() {
		return
	}
	_, found := fields.Find(name)
	action := option.GetAppendAction()
	switch {
	case option.GetAppend() != nil: //nolint:staticcheck // what older services say
		add = option.GetAppend().GetValue() //nolint:staticcheck // as above
	case action == corev3.HeaderValueOption_ADD_IF_ABSENT && found,
		action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS && !found:
		return
	case action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		add = false
	}
	if !add {
		fields.RemoveName(name)
	}
	fields.Add(exchange.NameOf([]byte(name)), []byte(name), []byte(value))
}
