package filter_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

func TestCORS(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{
		CORS: &edge.CORS{
			Origins: []string{"https://shop.example", "https://*.studio.example:8443"}, Methods: []string{"GET", "PUT"},
			Headers: []string{"Content-Type", "X-A"}, ExposeHeaders: []string{"ETag"}, Credentials: true, MaxAge: time.Hour,
		},
		JWT: &edge.JWT{Secret: "issuer"}, // a preflight brings no token
	})
	for origin, allowed := range map[string]bool{
		"https://shop.example": true, "https://a.studio.example:8443": true, "https://a.b.studio.example:8443": true,
		"http://shop.example": false, "https://shop.example.evil": false, "https://evilstudio.example:8443": false,
		"https://.studio.example:8443": false, "https://studio.example:8443": false, "null": false, "": false,
		"https://evil.example/.studio.example:8443": false, "https://a@b.studio.example:8443": false, "https://a.studio.example": false,
	} {
		verdict, x := h.run(c, request("OPTIONS /x", "Origin", origin, "Access-Control-Request-Method", "PUT"))
		c.Response(x)
		want := 403
		if allowed {
			want = 204
		}
		if verdict != filter.Answered || x.Response.Status != want {
			t.Errorf("preflight of %q: %d", origin, x.Response.Status)
		}
		got := fmt.Sprint(get(x.Response.Fields, "Access-Control-Allow-Origin"), " ", get(x.Response.Fields, "Access-Control-Allow-Credentials"))
		if allowed && got != origin+" true" || !allowed && got != " " {
			t.Errorf("%q: allowed is %q", origin, got)
		}
		if get(x.Response.Fields, "Vary") != "Origin" {
			t.Errorf("%q: Vary is %q", origin, get(x.Response.Fields, "Vary"))
		}
		if allowed && (get(x.Response.Fields, "Access-Control-Allow-Methods") != "GET, PUT" ||
			get(x.Response.Fields, "Access-Control-Allow-Headers") != "Content-Type, X-A" || get(x.Response.Fields, "Access-Control-Max-Age") != "3600") {
			t.Errorf("preflight's answer: %v", x.Response.Fields)
		}
	}
	_, x := h.run(c, request("GET /x", "Origin", "https://shop.example"))
	x.Response.Fields.Add(exchange.Other, []byte("access-control-allow-origin"), []byte("*"))
	x.Response.Fields.Add(exchange.Vary, []byte("vary"), []byte("Accept, origin"))
	c.Response(x)
	if got := get(x.Response.Fields, "Access-Control-Allow-Origin"); got != "https://shop.example" {
		t.Errorf("a refusal is not readable by the page: %q", got)
	}
	if get(x.Response.Fields, "Access-Control-Expose-Headers") != "ETag" || get(x.Response.Fields, "Vary") != "Accept, origin" {
		t.Errorf("answer: %v", x.Response.Fields)
	}
	if got := filter.Method(&request("OPTIONS /x", "Origin", "o", "Access-Control-Request-Method", "PUT").Request); string(got) != "PUT" {
		t.Errorf("a preflight is routed by %s", got)
	}
	everybody := h.compile(t, edge.Policy{CORS: &edge.CORS{Origins: []string{"*"}}})
	_, x = h.run(everybody, request("GET /x", "Origin", "https://any.example"))
	if everybody.Response(x); get(x.Response.Fields, "Access-Control-Allow-Origin") != "*" || x.Response.Fields.Has(exchange.Vary) {
		t.Errorf("answer for everybody: %v", x.Response.Fields)
	}
}

// FuzzOrigin: what is allowed is a host below the one that is named, and no
// other.
func FuzzOrigin(f *testing.F) {
	h := newHouse(f, nil)
	c := h.compile(f, edge.Policy{CORS: &edge.CORS{Origins: []string{"https://*.a.example"}}})
	f.Add("https://x.a.example")
	f.Add("https://x@y.a.example")
	f.Add("https://x.evil/.a.example")
	f.Fuzz(func(t *testing.T, origin string) {
		x := request("GET /x", "Origin", origin)
		h.run(c, x)
		c.Response(x)
		if get(x.Response.Fields, "Access-Control-Allow-Origin") == "" {
			return
		}
		host, https := strings.CutPrefix(origin, "https://")
		if !https || !strings.HasSuffix(host, ".a.example") || strings.ContainsAny(host, "/@?#:\\ %,") {
			t.Errorf("%q is allowed", origin)
		}
	})
}

func TestHeaderEdits(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{
		APIKey: &edge.APIKey{Secret: "keys"},
		RequestHeaders: edge.HeaderEdits{
			Remove: []string{"X-Gone", "User-Agent"},
			Set:    []edge.HeaderValue{{Name: "X-Who", Value: "%SUBJECT% from %CLIENT_IP% by %PROTOCOL% (100%%)"}, {Name: "X-B", Value: "b"}},
			Add:    []edge.HeaderValue{{Name: "x-b", Value: "%REQ(X-B)%!"}},
		},
		ResponseHeaders: edge.HeaderEdits{Set: []edge.HeaderValue{{Name: "Server", Value: "%ROUTE%"}, {Name: "X-Id", Value: "%REQUEST_ID%"}}},
	})
	_, x := h.run(c, request("GET /x", "x-gone", "1", "user-agent", "me", "X-Who", "me", "x-b", "a", "x-b", "c", "X-Api-Key", "s3cret key", "X-Request-Id", "request-1"))
	text := ""
	for _, field := range x.Request.Fields {
		if field.ID != exchange.Removed && strings.HasPrefix(strings.ToLower(string(field.Name)), "x-") || field.ID == exchange.UserAgent {
			text += string(field.Name) + ": " + string(field.Value) + "\n"
		}
	}
	want := `X-Request-Id: request-1
X-Forwarded-For: 192.0.2.7
X-Forwarded-Host: shop.example:8080
X-Forwarded-Proto: http
X-Who: partner from 192.0.2.7 by HTTP/1.1 (100%)
X-B: b
x-b: b!
`
	if text != want {
		t.Errorf("the upstream sees\n%swant\n%s", text, want)
	}
	x.Response.Fields.Add(exchange.Server, []byte("server"), []byte("secret/1.2"))
	if c.Response(x); get(x.Response.Fields, "Server") != "r" || get(x.Response.Fields, "X-Id") != "request-1" {
		t.Errorf("answer: %v", x.Response.Fields)
	}
}

func TestWhatTheClientSaysOfHopsIsReplaced(t *testing.T) {
	said := []string{"X-Forwarded-For", "203.0.113.9", "x-forwarded-for", "198.51.100.1 , 10.0.0.1", "X-Forwarded-Proto", "https", "Forwarded", "for=x"}
	for _, c := range []struct {
		hops             int
		from, seen, prot string
	}{
		{0, "192.0.2.7", "192.0.2.7", "http"},
		{1, "10.0.0.1", "203.0.113.9, 198.51.100.1 , 10.0.0.1, 192.0.2.7", "https"},
		{2, "198.51.100.1", "203.0.113.9, 198.51.100.1 , 10.0.0.1, 192.0.2.7", "https"},
		{9, "203.0.113.9", "203.0.113.9, 198.51.100.1 , 10.0.0.1, 192.0.2.7", "https"},
	} {
		h := newHouse(t, func(config *filter.Config) { config.TrustedHops = c.hops })
		_, x := h.run(h.compile(t, edge.Policy{}), request("GET /x", said...))
		if x.From != netip.MustParseAddr(c.from) || get(x.Request.Fields, "X-Forwarded-For") != c.seen || get(x.Request.Fields, "X-Forwarded-Proto") != c.prot {
			t.Errorf("%d hops: from %v, the upstream sees %v", c.hops, x.From, x.Request.Fields)
		}
		if (c.hops == 0) == x.Request.Fields.Has(exchange.Forwarded) {
			t.Errorf("%d hops: Forwarded", c.hops)
		}
	}
}

// FuzzQuery: a key in the query goes no further, in whatever way it is
// written, and the rest stays as it was.
func FuzzQuery(f *testing.F) {
	h := newHouse(f, nil)
	c := h.compile(f, edge.Policy{APIKey: &edge.APIKey{Secret: "keys", Query: "key", Optional: true}})
	for _, seed := range []string{"key=1", "a=1&k%65y=2&b", "%6bey", "key+=1", "&&key&=", "a=%zz&key=%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		x := request("GET /x")
		x.Request.Query, x.Request.HasQuery = []byte(query), true
		h.run(c, x)
		kept := []string{}
		for _, pair := range strings.Split(query, "&") {
			name, _, _ := strings.Cut(pair, "=")
			if plain, err := url.QueryUnescape(name); err == nil && plain == "key" {
				continue
			}
			kept = append(kept, pair)
		}
		left := string(x.Request.Query)
		if values, _ := url.ParseQuery(left); values.Has("key") {
			t.Errorf("%q goes on as %q", query, left)
		}
		for _, pair := range strings.Split(left, "&") {
			if !slices.Contains(kept, pair) && pair != "" {
				t.Errorf("%q goes on as %q", query, left)
			}
		}
	})
}
