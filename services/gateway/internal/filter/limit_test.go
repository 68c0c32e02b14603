package filter_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

func TestRateLimitsByKey(t *testing.T) {
	for name, c := range map[string]struct {
		key         []edge.HashKey
		same, other func(*exchange.Exchange)
	}{
		"header": {[]edge.HashKey{{Header: "X-A"}}, line("x-a", "1"), line("X-A", "2")},
		"cookie": {[]edge.HashKey{{Cookie: "sid"}}, line("Cookie", "a=b; sid=1; c=d"), line("Cookie", "sid=2;x=sid=1")},
		"source": {[]edge.HashKey{{SourceIP: true}}, from("192.0.2.7"), from("192.0.2.8")},
		"IPv6":   {[]edge.HashKey{{SourceIP: true}}, from("2001:db8::1"), from("2001:db8:0:1::1")},
		"both":   {[]edge.HashKey{{SourceIP: true}, {Header: "X-A"}}, line("X-A", "1"), line("X-A", "2")},
	} {
		h := newHouse(t, nil)
		chain := h.compile(t, edge.Policy{RateLimits: []edge.RateLimit{{Name: "by-" + name, Key: c.key, Rate: 1, Burst: 2}}})
		take := func(change func(*exchange.Exchange)) int {
			x := request("GET /x")
			change(x)
			if verdict, x := h.run(chain, x); verdict == filter.Answered {
				return x.Response.Status
			}
			return 0
		}
		if got := [4]int{take(c.same), take(c.same), take(c.same), take(c.other)}; got != [4]int{0, 0, 429, 0} {
			t.Errorf("%s: %v", name, got)
		}
		h.now = h.now.Add(time.Second)
		if got := [2]int{take(c.same), take(c.same)}; got != [2]int{0, 429} {
			t.Errorf("%s, a second later: %v", name, got)
		}
	}
}

func line(name, value string) func(*exchange.Exchange) {
	return func(x *exchange.Exchange) {
		x.Request.Fields.Add(exchange.NameOf([]byte(name)), []byte(name), []byte(value))
	}
}

func from(address string) func(*exchange.Exchange) {
	return func(x *exchange.Exchange) {
		x.Request.Remote = netip.AddrPortFrom(netip.MustParseAddr(address), 1)
	}
}

func TestARateLimitTellsWhenToComeBack(t *testing.T) {
	h := newHouse(t, nil)
	policy := edge.Policy{RateLimits: []edge.RateLimit{{Name: "calls", Rate: 0.25, Burst: 2, Key: []edge.HashKey{{Subject: true}}}}}
	chain := h.compile(t, policy)
	signed := h.bearer(t, identity.Viewer, time.Hour)
	for range 2 {
		h.run(chain, request("GET /x", "Authorization", signed))
	}
	_, x := h.run(chain, request("GET /x", "Authorization", signed))
	got := get(x.Response.Fields, "Retry-After") + " " + get(x.Response.Fields, "RateLimit-Policy") + " " + get(x.Response.Fields, "RateLimit")
	if x.Response.Status != 429 || x.Fault != "rate_limit" || got != `4 "calls";q=2;w=8 "calls";r=0;t=4` {
		t.Errorf("%d %s: %s", x.Response.Status, x.Fault, got)
	}
	if verdict, _ := h.run(chain, request("GET /x")); verdict != filter.Next {
		t.Error("who is not signed in shares the bucket of who is")
	}
	h.swap()
	if _, x = h.run(h.compile(t, policy), request("GET /x", "Authorization", signed)); x.Response.Status != 429 {
		t.Error("a new configuration fills the buckets")
	}
}

// quota answers what a test says.
type quota struct {
	grant filter.Grant
	share float64
	names []string
	keys  []string
}

func (q *quota) Limit(name string, _, _ float64) filter.Lease {
	q.names = append(q.names, name)
	return q
}

func (q *quota) Take(key []byte, _ time.Time) filter.Grant {
	q.keys = append(q.keys, string(key))
	return q.grant
}

func (q *quota) Share() float64 { return q.share }

func TestALimitOfAllGatewaysTogether(t *testing.T) {
	q := &quota{share: 0.5}
	h := newHouse(t, func(config *filter.Config) { config.Quota = q })
	policy := edge.RateLimit{Name: "all", Rate: 4, Burst: 4, Global: true, Key: []edge.HashKey{{Header: "X-A"}, {Header: "X-B"}}}
	chain := h.compile(t, edge.Policy{RateLimits: []edge.RateLimit{policy}})
	policy.Strict = true
	strict := h.compile(t, edge.Policy{RateLimits: []edge.RateLimit{policy}})
	take := func(c *filter.Chain, lines ...string) string {
		if verdict, x := h.run(c, request("GET /x", lines...)); verdict == filter.Answered {
			return x.Fault
		}
		return ""
	}
	for _, step := range []struct {
		kind  filter.GrantKind
		chain *filter.Chain
		want  string
	}{
		{filter.Granted, chain, ""},
		{filter.Refused, chain, "quota"},
		{filter.Away, strict, "quota_away"},
		{filter.Asked, strict, ""}, // two of four are this gateway's share
		{filter.Away, chain, ""},
		{filter.Away, chain, "quota"},
		{filter.Asked, strict, "quota"},
	} {
		q.grant.Kind = step.kind
		if got := take(step.chain, "X-A", "a", "X-B", "b"); got != step.want {
			t.Errorf("%d: %q, want %q", step.kind, got, step.want)
		}
	}
	q.grant.Kind = filter.Granted
	take(chain, "X-A", "ab")
	take(chain, "X-B", "ab")
	if n := len(q.keys); q.keys[n-1] == q.keys[n-2] {
		t.Error("parts of keys run into one another")
	}
	if q.names[0] != "r/all" {
		t.Errorf("limit is called %q", q.names[0])
	}
}
