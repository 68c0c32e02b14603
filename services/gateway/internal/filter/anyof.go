package filter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// ways are ways to say who calls, of which one is enough.
type ways struct {
	all        []way
	asked      string   // of whom took none of them
	challenges [][]byte // of answers with 401, one for each scheme
}

// way is one of them: one member is set.
type way struct {
	bearers *bearers
	keys    *apiKeys
	cert    *clientCert
}

// badToken is the challenge of RFC 6750 for a token that is not good.
var badToken = []byte(`Bearer error="invalid_token"`)

func (e *Env) compileWays(policy []edge.Authentication, config *edge.Config) (*ways, error) {
	if len(policy) == 0 {
		return nil, nil
	}
	w := &ways{}
	var asked []string
	challenged := map[string]bool{}
	for i := range policy {
		one, name, challenge, err := e.compileWay(&policy[i], config)
		if err != nil {
			return nil, fmt.Errorf("[%d].%w", i, err)
		}
		w.all = append(w.all, one)
		if !challenged[name] {
			asked = append(asked, name)
		}
		if challenge != "" && !challenged[challenge] {
			w.challenges = append(w.challenges, []byte(challenge))
		}
		challenged[name], challenged[challenge] = true, true
	}
	w.asked = strings.Join(asked, " or ") + " is asked for here"
	return w, nil
}

// compileWay gives what a caller is asked for in words, and its challenge:
// none for a certificate, which HTTP cannot ask for.
func (e *Env) compileWay(policy *edge.Authentication, config *edge.Config) (w way, asked, challenge string, err error) {
	switch {
	case policy.JWT != nil:
		if w.bearers, err = e.compileBearers(policy.JWT, config); err != nil {
			return w, "", "", fmt.Errorf("jwt: %w", err)
		}
		return w, "a bearer token", "Bearer", nil
	case policy.APIKey != nil:
		if w.keys, err = compileAPIKey(policy.APIKey, config); err != nil {
			return w, "", "", fmt.Errorf("api_key: %w", err)
		}
		header := policy.APIKey.Header
		if header == "" {
			header = exchange.XAPIKey.String()
		}
		return w, "an API key in " + header, string(w.keys.challenge), nil
	case policy.ClientCert != nil:
		if w.cert, err = compileClientCert(policy.ClientCert); err != nil {
			return w, "", "", fmt.Errorf("client_certificate: %w", err)
		}
		return w, "a client certificate", "", nil
	}
	return w, "", "", errors.New("jwt, api_key or client_certificate must be set")
}

// anyOf takes the first way that is good. What was brought for the others goes
// no further either. It returns what is left of the credential: nothing once a
// way has taken it, else it has to be one of Backlot's own.
func (c *Chain) anyOf(x *exchange.Exchange, credential []byte) (left []byte, passed bool) {
	for i := range c.ways.all {
		if b := c.ways.all[i].bearers; b != nil {
			b.clear(x)
		}
	}
	left = credential
	brought := false
	for i := range c.ways.all {
		sent, good, took := c.ways.all[i].try(x, left, passed)
		brought, passed = brought || sent, passed || good
		if took {
			left = nil
		}
	}
	if passed {
		return left, true
	}
	message, why := c.ways.asked, causeNoneOf
	if brought {
		message, why = "what was sent to say who calls is not good: "+message, causeAnyOf
	}
	c.refuse(x, 401, "unauthenticated", message, why)
	for _, challenge := range c.ways.challenges {
		if credential != nil && string(challenge) == bearer {
			challenge = badToken
		}
		x.Response.Fields.Add(exchange.WWWAuthenticate, exchange.WWWAuthenticate.Bytes(), challenge)
	}
	return nil, false
}

// try looks whether a request brings what the way asks for, and whether it is
// good; then it says who calls, but where another way has. took: the
// Authorization field is of this way.
func (w *way) try(x *exchange.Exchange, credential []byte, known bool) (sent, good, took bool) {
	switch {
	case w.bearers != nil && credential != nil:
		h, err := w.bearers.credential(credential, x.Began)
		if err != nil {
			return true, false, false
		}
		if !known {
			w.bearers.tell(x, h)
		}
		return true, true, true
	case w.keys != nil:
		key := w.keys.take(x)
		if len(key) == 0 {
			return false, false, false
		}
		owner, found := w.keys.owners[sha256.Sum256(key)]
		if found && !known {
			x.Subject = x.Arena.CopyString(owner)
		}
		return true, found, found && w.keys.header.id == exchange.Authorization
	case w.cert != nil:
		leaf := verified(x)
		if leaf == nil {
			return false, false, false
		}
		name, allowed := w.cert.nameOf(leaf)
		if allowed && !known {
			x.Subject = x.Arena.CopyString(name)
		}
		return true, allowed, false
	}
	return false, false, false
}
