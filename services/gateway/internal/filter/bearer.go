package filter

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/cache"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/jwt"
)

// keptBearers bounds the tokens of other issuers that a policy remembers.
const keptBearers = 16 << 10

const (
	maxForward = 32
	maxLeeway  = 5 * time.Minute
)

// bearers verifies tokens of another issuer, once each.
type bearers struct {
	keys     *jwt.KeySet
	rules    jwt.Rules
	forward  []forwarded
	kept     *cache.Table[*holder]
	verified prometheus.Counter
}

// forwarded is a claim that the upstream gets.
type forwarded struct {
	claim string
	fieldName
	name []byte
}

// holder is what a verified token says.
type holder struct {
	subject []byte
	values  [][]byte // of bearers.forward; nil: the token does not say
}

// compileBearers finds the verifier of a policy among those known, so that a
// new configuration does not forget what was verified.
func (e *Env) compileBearers(policy *edge.JWT, config *edge.Config) (*bearers, error) {
	if policy == nil {
		return nil, nil
	}
	secret, found := config.Secrets[policy.Secret]
	if !found {
		return nil, fmt.Errorf("secret: %q does not exist", policy.Secret)
	}
	name := fmt.Sprintf("%x %q %q %v %q", sha256.Sum256(secret.JWKS), policy.Issuer, policy.Audiences, policy.Leeway, policy.Forward)
	return e.bearers.take(name, e.generation, func() (*bearers, error) { return e.newBearers(policy, secret.JWKS) })
}

func (e *Env) newBearers(policy *edge.JWT, keySet []byte) (*bearers, error) {
	keys, err := jwt.ParseKeySet(keySet)
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", policy.Secret, err)
	}
	if policy.Leeway < 0 || policy.Leeway > maxLeeway {
		return nil, fmt.Errorf("leeway: must be between 0 and %v", maxLeeway)
	}
	if len(policy.Forward) > maxForward {
		return nil, fmt.Errorf("forward: at most %d claims", maxForward)
	}
	b := &bearers{
		keys: keys, rules: jwt.Rules{Issuer: policy.Issuer, Audiences: policy.Audiences, Leeway: policy.Leeway},
		kept: cache.New[*holder](keptBearers), verified: e.metrics.verified.WithLabelValues("jwt"),
	}
	for claim, header := range policy.Forward {
		if err := mayEdit(header); err != nil {
			return nil, fmt.Errorf("forward: header %q: %w", header, err)
		}
		b.forward = append(b.forward, forwarded{claim: claim, fieldName: nameOf(header), name: []byte(header)})
	}
	slices.SortFunc(b.forward, func(a, b forwarded) int { return compare(a.claim, b.claim) })
	return b, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

var errClaim = errors.New("token has a claim that no header can carry")

// holder finds out what a token says.
func (b *bearers) holder(token []byte, now time.Time) (*holder, error) {
	digest := sha256.Sum256(token)
	if h, found := b.kept.Get(&digest, now.UnixNano()); found {
		return h, nil
	}
	b.verified.Inc()
	claims, err := b.keys.Verify(token, &b.rules, now)
	if err != nil {
		return nil, err
	}
	h := &holder{subject: []byte(claims.Subject), values: make([][]byte, len(b.forward))}
	for i := range b.forward {
		text, found := claims.Text(b.forward[i].claim)
		if !found {
			continue
		}
		if !isFieldValue(text) {
			return nil, errClaim
		}
		h.values[i] = []byte(text)
	}
	if !isFieldValue(h.subject) {
		return nil, errClaim
	}
	b.kept.Put(&digest, claims.Expires.Add(b.rules.Leeway).UnixNano(), h)
	return h, nil
}

// bearer looks at a token of another issuer. It returns what is left of the
// credential: nothing once it was taken. Where the policy is optional, a token
// that it does not take may still be one of Backlot's own.
func (c *Chain) bearer(x *exchange.Exchange, credential []byte) (left []byte, passed bool) {
	b, optional := c.bearers, c.route.Policy.JWT.Optional
	b.clear(x)
	if credential == nil {
		if optional {
			return nil, true
		}
		c.unauthenticated(x, "authorization: a bearer token is asked for here", causeNoJWT)
		return nil, false
	}
	h, err := b.credential(credential, x.Began)
	switch {
	case err != nil && optional:
		return credential, true
	case errors.Is(err, errScheme):
		c.unauthenticated(x, err.Error(), causeJWT)
		return nil, false
	case err != nil:
		c.unauthenticated(x, "authorization: "+err.Error(), causeJWT)
		return nil, false
	}
	b.tell(x, h)
	return nil, true
}

// clear drops what a client says under the names of claims.
func (b *bearers) clear(x *exchange.Exchange) {
	for i := range b.forward {
		b.forward[i].removeFrom(x.Request.Fields)
	}
}

// credential finds out what an Authorization field says.
func (b *bearers) credential(value []byte, now time.Time) (*holder, error) {
	token, err := bearerToken(value)
	if err != nil {
		return nil, err
	}
	return b.holder(token, now)
}

// tell passes on what a token says.
func (b *bearers) tell(x *exchange.Exchange, h *holder) {
	if len(h.subject) > 0 {
		x.Subject = h.subject
	}
	for i, value := range h.values {
		if value != nil {
			f := &b.forward[i]
			x.Request.Fields.Add(f.id, f.name, value)
		}
	}
}
