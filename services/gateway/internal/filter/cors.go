package filter

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// cors lets pages of other origins read answers (Fetch, 4.9).
type cors struct {
	any         bool
	exact       map[string]struct{}
	wild        []originPattern
	methods     []byte // empty: not said
	headers     []byte
	expose      []byte
	maxAge      []byte
	credentials bool
}

// originPattern is `https://*.example.com`, cut at the star.
type originPattern struct{ scheme, suffix string }

const maxPreflightAge = 24 * time.Hour

func compileCORS(policy *edge.CORS) (*cors, error) {
	if policy == nil {
		return nil, nil
	}
	if len(policy.Origins) == 0 {
		return nil, errors.New("origins: there is none")
	}
	c := &cors{exact: map[string]struct{}{}, credentials: policy.Credentials}
	for _, origin := range policy.Origins {
		scheme, host, found := strings.Cut(origin, "://")
		switch {
		case origin == "*":
			c.any = true
		case origin == "null":
			c.exact[origin] = struct{}{}
		case !found || scheme == "" || host == "" || strings.ContainsAny(host, "/?#@ "):
			return nil, fmt.Errorf("origins: %q is not scheme://host[:port], with *. before the host if need be", origin)
		case strings.HasPrefix(host, "*."):
			c.wild = append(c.wild, originPattern{scheme: strings.ToLower(scheme) + "://", suffix: strings.ToLower(host[1:])})
		case strings.Contains(host, "*"):
			return nil, fmt.Errorf("origins: %q: * stands only for the first labels, as in *.example.com", origin)
		default:
			c.exact[strings.ToLower(origin)] = struct{}{}
		}
	}
	if c.any && c.credentials {
		return nil, errors.New("credentials: not with origin *")
	}
	for _, list := range []struct {
		field string
		names []string
		to    *[]byte
	}{{"methods", policy.Methods, &c.methods}, {"headers", policy.Headers, &c.headers}, {"expose_headers", policy.ExposeHeaders, &c.expose}} {
		for _, name := range list.names {
			if !isToken(name) {
				return nil, fmt.Errorf("%s: %q is not a name", list.field, name)
			}
		}
		*list.to = []byte(strings.Join(list.names, ", "))
	}
	if policy.MaxAge < 0 || policy.MaxAge > maxPreflightAge {
		return nil, fmt.Errorf("max_age: must be between 0 and %v", maxPreflightAge)
	}
	if policy.MaxAge > 0 {
		c.maxAge = strconv.AppendInt(nil, int64(policy.MaxAge/time.Second), 10)
	}
	return c, nil
}

// allows tells whether pages of an origin may read answers.
func (c *cors) allows(origin []byte) bool {
	if c.any {
		return true
	}
	if _, found := c.exact[string(origin)]; found {
		return true
	}
	for i := range c.wild {
		w := &c.wild[i]
		rest, found := bytes.CutPrefix(origin, []byte(w.scheme))
		if found && len(rest) > len(w.suffix) && string(rest[len(rest)-len(w.suffix):]) == w.suffix && isLabels(rest[:len(rest)-len(w.suffix)]) {
			return true
		}
	}
	return false
}

// isLabels tells whether a text is labels of a host's name, as browsers write
// them in an origin: nothing that could end the name.
func isLabels(text []byte) bool {
	if len(text) == 0 || text[0] == '.' {
		return false
	}
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// isPreflight tells whether a browser asks what it may ask.
func isPreflight(r *exchange.Request) bool {
	return string(r.Method) == "OPTIONS" && r.Fields.Has(exchange.Origin) && r.Fields.Has(exchange.AccessControlRequestMethod)
}

var (
	allowOrigin      = []byte("Access-Control-Allow-Origin")
	allowCredentials = []byte("Access-Control-Allow-Credentials")
	allowMethods     = []byte("Access-Control-Allow-Methods")
	allowHeaders     = []byte("Access-Control-Allow-Headers")
	exposeHeaders    = []byte("Access-Control-Expose-Headers")
	maxAgeName       = []byte("Access-Control-Max-Age")
	everyOrigin      = []byte("*")
	yes              = []byte("true")
	originName       = []byte("Origin")
)

// preflight answers one; mark adds whose it is.
func (c *cors) preflight(x *exchange.Exchange) {
	x.Response = exchange.Response{Status: 204, NoBody: true, Fields: x.Response.Fields[:0]}
	fields := &x.Response.Fields
	addSaid(fields, allowMethods, c.methods)
	addSaid(fields, allowHeaders, c.headers)
	addSaid(fields, maxAgeName, c.maxAge)
}

func addSaid(fields *exchange.Fields, name, value []byte) {
	if len(value) > 0 {
		fields.Add(exchange.Other, name, value)
	}
}

// mark tells the browser whether the page may read the answer, in place of
// what the upstream says of it.
func (c *cors) mark(x *exchange.Exchange) {
	fields := &x.Response.Fields
	fields.RemoveName("Access-Control-Allow-Origin")
	fields.RemoveName("Access-Control-Allow-Credentials")
	fields.RemoveName("Access-Control-Expose-Headers")
	if !c.any {
		addVary(fields, originName)
	}
	origin := x.Request.Fields.Get(exchange.Origin)
	switch {
	case origin == nil || !c.allows(origin):
		return
	case c.any:
		fields.Add(exchange.Other, allowOrigin, everyOrigin)
	default:
		fields.Add(exchange.Other, allowOrigin, origin)
	}
	if c.credentials {
		fields.Add(exchange.Other, allowCredentials, yes)
	}
	addSaid(fields, exposeHeaders, c.expose)
}

// addVary names a header that the answer depends on, once.
func addVary(fields *exchange.Fields, name []byte) {
	for i := range *fields {
		if f := &(*fields)[i]; f.ID == exchange.Vary && listHas(f.Value, name) {
			return
		}
	}
	fields.Add(exchange.Vary, exchange.Vary.Bytes(), name)
}

// listHas tells whether a comma-separated list has a member, or is `*`.
func listHas(list, member []byte) bool {
	for len(list) > 0 {
		var one []byte
		one, list, _ = bytes.Cut(list, []byte{','})
		if one = bytes.TrimSpace(one); string(one) == "*" || exchange.EqualFold(one, string(member)) {
			return true
		}
	}
	return false
}
