package filter_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter"
)

func TestOneOfSeveralWaysIsEnough(t *testing.T) {
	h := newHouse(t, nil)
	good := "Bearer " + h.foreign(fmt.Sprintf(`{"iss":"https://i","sub":"ann","exp":%d}`, h.now.Unix()+60))
	bad := "Bearer " + h.foreign(fmt.Sprintf(`{"iss":"https://j","sub":"ann","exp":%d}`, h.now.Unix()+60))
	both := edge.Policy{AnyOf: []edge.Authentication{
		{JWT: &edge.JWT{Secret: "issuer", Issuer: "https://i", Forward: map[string]string{"sub": "X-User"}}},
		{APIKey: &edge.APIKey{Secret: "keys"}},
		{ClientCert: &edge.ClientCert{Names: []string{"cam1"}}},
	}}
	bob := &x509.Certificate{Subject: pkix.Name{CommonName: "bob"}}
	cam := &x509.Certificate{Subject: pkix.Name{CommonName: "cam1"}}
	for name, c := range map[string]struct {
		leaf    *x509.Certificate
		header  []string
		subject string // empty: 401
		cause   string
	}{
		"JWT":                    {nil, []string{"Authorization", good}, "ann", ""},
		"API key":                {nil, []string{"X-Api-Key", "s3cret key", "X-User", "forged"}, "partner", ""},
		"certificate":            {cam, nil, "cam1", ""},
		"JWT and key":            {nil, []string{"Authorization", good, "X-Api-Key", "s3cret key"}, "ann", ""},
		"JWT and unknown key":    {nil, []string{"Authorization", good, "X-Api-Key", "other"}, "ann", ""},
		"key and another's name": {bob, []string{"X-Api-Key", "s3cret key"}, "partner", ""},
		"nothing":                {nil, nil, "", "no_credential"},
		"bad JWT":                {nil, []string{"Authorization", bad}, "", "credential"},
		"basic":                  {nil, []string{"Authorization", "Basic YTpi"}, "", "credential"},
		"unknown key":            {nil, []string{"X-Api-Key", "other"}, "", "credential"},
		"another's name":         {bob, nil, "", "credential"},
		"all are bad":            {bob, []string{"Authorization", bad, "X-Api-Key", "other"}, "", "credential"},
		// What is sent as Authorization has to be good for somebody.
		"key and bad JWT":   {nil, []string{"Authorization", bad, "X-Api-Key", "s3cret key"}, "", "token"},
		"Backlot's own":     {nil, []string{"Authorization", h.bearer(t, identity.Viewer, time.Hour)}, "", "credential"},
		"key and Backlot's": {nil, []string{"Authorization", h.bearer(t, identity.Viewer, time.Hour), "X-Api-Key", "s3cret key"}, "partner", ""},
	} {
		x := request("GET /x", c.header...)
		if c.leaf != nil {
			x.Request.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c.leaf}}}
		}
		verdict, x := h.run(h.compile(t, both), x)
		if (verdict == filter.Next) != (c.subject != "") || string(x.Subject) != c.subject && c.subject != "" || x.Fault != c.cause {
			t.Errorf("%s: %d, %q, %q", name, x.Response.Status, x.Subject, x.Fault)
		}
		if verdict == filter.Next {
			user := ""
			if c.subject == "ann" {
				user = "ann"
			}
			if got := get(x.Request.Fields, "X-User"); got != user || x.Request.Fields.Has(exchange.XAPIKey) || x.Request.Fields.Has(exchange.Authorization) {
				t.Errorf("%s: the upstream sees %v", name, x.Request.Fields)
			}
			continue
		}
		if x.Response.Status != 401 {
			t.Errorf("%s: status %d", name, x.Response.Status)
		}
	}
}

func TestChallengesNameEveryWay(t *testing.T) {
	h := newHouse(t, nil)
	c := h.compile(t, edge.Policy{AnyOf: []edge.Authentication{
		{APIKey: &edge.APIKey{Secret: "keys", Header: "X-Partner"}},
		{JWT: &edge.JWT{Secret: "issuer", Issuer: "https://i"}},
		{JWT: &edge.JWT{Secret: "issuer", Issuer: "https://other"}},
		{ClientCert: &edge.ClientCert{}},
	}})
	for _, test := range []struct {
		header           []string
		challenges, says string
	}{
		{nil, `ApiKey header="X-Partner"|Bearer`, "an API key in X-Partner or a bearer token or a client certificate is asked for here"},
		{[]string{"Authorization", "Bearer x"}, `ApiKey header="X-Partner"|Bearer error="invalid_token"`, "is not good"},
	} {
		_, x := h.run(c, request("GET /x", test.header...))
		var got []string
		for _, f := range x.Response.Fields {
			if f.ID == exchange.WWWAuthenticate {
				got = append(got, string(f.Value))
			}
		}
		if strings.Join(got, "|") != test.challenges || !strings.Contains(string(x.Answer), test.says) {
			t.Errorf("%v: challenges %q, %s", test.header, got, x.Answer)
		}
	}
}

func TestSeveralWaysAllocateNothing(t *testing.T) {
	h := newHouse(t, nil)
	_, lines := policies(h)
	c, w := h.compile(t, edge.Policy{AnyOf: []edge.Authentication{
		{APIKey: &edge.APIKey{Secret: "keys"}}, {JWT: &edge.JWT{Secret: "issuer", Issuer: "https://i"}},
	}}), h.env.Watcher()
	x := request("GET /")
	if n := testing.AllocsPerRun(200, func() {
		if journey(w, c, x, lines) != filter.Next {
			t.Fatalf("refused: %s", x.Answer)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
