package filter

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
	"github.com/backlot-video/backlot/services/gateway/internal/filter/cache"
)

const (
	// keptTokens and keptGrants bound what is remembered as verified.
	keptTokens = 16 << 10
	keptGrants = 4 << 10
	// maxKept is how long a verified token or grant is believed without
	// looking at its key again, which may have been ended meanwhile.
	maxKept = time.Minute
	// stampLife is how long a signed principal is used again: half of its life,
	// so that the upstream has the other half to look at it.
	stampLife = identity.MaxLife / 2
)

// tokens verifies what Backlot itself has signed, once for each token.
type tokens struct {
	keys     []*identityv1.VerificationKey
	verifier *token.Verifier
	signer   *identity.Keys
	sessions *cache.Table[*session]
	grants   *cache.Table[*identityv1.MediaGrant]
	nobody   session
	verified prometheus.Counter
	granted  prometheus.Counter
	signed   prometheus.Counter
}

// session is a verified caller, and what upstreams are told of it.
type session struct {
	principal identity.Principal
	stamp     atomic.Pointer[stamp]
}

// stamp is a signed principal.
type stamp struct {
	text  []byte
	until int64 // Unix nanoseconds; not to be used after
}

func newTokens(keys []*identityv1.VerificationKey, e *Env) *tokens {
	t := &tokens{
		keys: keys, verifier: token.NewVerifier(keys, e.config.Clock), signer: e.config.Keys,
		sessions: cache.New[*session](keptTokens), grants: cache.New[*identityv1.MediaGrant](keptGrants),
		verified: e.metrics.verified.WithLabelValues("token"), granted: e.metrics.verified.WithLabelValues("grant"),
		signed: e.metrics.verified.WithLabelValues("principal"),
	}
	t.nobody.principal = identity.Principal{Kind: identity.Anonymous, TenantID: identity.DefaultTenant}
	return t
}

var (
	errScheme = errors.New("authorization: must be `Bearer <token>`")
	bearer    = "Bearer"
)

// bearerToken is the token of an Authorization field.
func bearerToken(value []byte) ([]byte, error) {
	scheme, text, found := bytes.Cut(value, []byte{' '})
	if !found || !exchange.EqualFold(scheme, bearer) {
		return nil, errScheme
	}
	return bytes.TrimSpace(text), nil
}

// session finds who a token signs in.
func (t *tokens) session(text []byte, now time.Time) (*session, error) {
	digest := sha256.Sum256(text)
	if s, found := t.sessions.Get(&digest, now.UnixNano()); found {
		return s, nil
	}
	t.verified.Inc()
	principal, err := t.verifier.Token(string(text))
	if err != nil {
		return nil, errors.New("authorization: " + err.Error() + "; sign in again")
	}
	s := &session{principal: principal}
	until := min(principal.Expires.UnixNano(), now.Add(maxKept).UnixNano())
	t.sessions.Put(&digest, until, s)
	return s, nil
}

// stampOf is the signed form of a session's principal. Two that sign at once
// both sign; either result is good.
func (t *tokens) stampOf(s *session, now time.Time) ([]byte, error) {
	if kept := s.stamp.Load(); kept != nil && kept.until > now.UnixNano() {
		return kept.text, nil
	}
	t.signed.Inc()
	principal := s.principal
	principal.Expires = principal.Expires.UTC()
	text, err := t.signer.Sign(principal)
	if err != nil {
		return nil, err
	}
	fresh := &stamp{text: []byte(text), until: now.Add(stampLife).UnixNano()}
	if !principal.Expires.IsZero() {
		fresh.until = min(fresh.until, principal.Expires.UnixNano())
	}
	s.stamp.Store(fresh)
	return fresh.text, nil
}

// grant verifies a media grant.
func (t *tokens) grant(text []byte, now time.Time) (*identityv1.MediaGrant, error) {
	digest := sha256.Sum256(text)
	if g, found := t.grants.Get(&digest, now.UnixNano()); found {
		return g, nil
	}
	t.granted.Inc()
	g, err := t.verifier.Media(string(text))
	if err != nil {
		return nil, err
	}
	t.grants.Put(&digest, min(time.UnixMicro(g.GetExpiresAt()).UnixNano(), now.Add(maxKept).UnixNano()), g)
	return g, nil
}

// Media returns what a media address grants, which is not to be changed.
func (c *Chain) Media(signed []byte, now time.Time) (*identityv1.MediaGrant, error) {
	return c.tokens.grant(signed, now)
}

// backlot finds out who calls by Backlot's own token, and tells the upstream
// in place of what the client said. A token that is sent must be good.
func (c *Chain) backlot(x *exchange.Exchange, credential []byte) bool {
	s := &c.tokens.nobody
	if credential != nil {
		text, err := bearerToken(credential)
		if err == nil {
			s, err = c.tokens.session(text, x.Began)
		}
		if err != nil {
			c.unauthenticated(x, err.Error(), causeToken)
			return false
		}
	}
	signed, err := c.tokens.stampOf(s, x.Began)
	switch {
	case errors.Is(err, identity.ErrExpired):
		c.unauthenticated(x, "authorization: token has expired; sign in again", causeToken)
		return false
	case err != nil:
		c.env.config.Log.Error("principal cannot be signed", "err", err)
		c.refuse(x, 500, "internal", "the gateway cannot vouch for the caller", causePrincipal)
		return false
	}
	x.Principal = s.principal
	x.Request.Fields.Set(exchange.BacklotPrincipal, signed)
	return true
}

// authorise refuses kinds of caller that the route is not for.
func (c *Chain) authorise(x *exchange.Exchange) bool {
	allowed := c.route.Policy.Principals
	switch {
	case len(allowed) == 0 || slices.Contains(allowed, x.Principal.Kind):
		return true
	case x.Principal.Kind == identity.Anonymous:
		c.unauthenticated(x, "authorization: sign in first", causeAnonymous)
	default:
		c.refuse(x, 403, "permission_denied", "authorization: not open to this kind of account", causeKind)
	}
	return false
}
