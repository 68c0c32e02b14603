package filter

import (
	"net/http"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// cause is why a policy refused; as a word, a label of metrics and a fault in
// logs.
type cause uint8

const (
	causeToken     cause = iota // Backlot's own token is not good
	causePrincipal              // could not be signed
	causeAnonymous              // the route wants somebody signed in
	causeKind                   // the route is not for this kind of account
	causeOrigin                 // CORS: a preflight of an origin that is not allowed
	causeNoCertificate
	causeCertificate // its names are not allowed
	causeNoKey
	causeKey // API key is not known
	causeNoJWT
	causeJWT
	causeNoneOf    // of the ways to say who calls none was taken
	causeAnyOf     // and those that were are not good
	causeRate      // rate limit
	causeQuota     // rate limit of all gateways together
	causeQuotaAway // the configstore did not answer for it
	causeDenied    // by external authorisation
	causeAuthzDown
	causeAuthzBody // could not be read for external authorisation
	causes
)

var causeWords = [causes]string{
	"token", "principal", "anonymous", "kind", "origin", "no_certificate", "certificate", "no_api_key", "api_key",
	"no_jwt", "jwt", "no_credential", "credential", "rate_limit", "quota", "quota_away", "denied", "authz_down", "authz_body",
}

// refuse makes the answer and counts it.
func (c *Chain) refuse(x *exchange.Exchange, status int, code, message string, why cause) {
	x.Refuse(status, code, message, causeWords[why])
	c.env.metrics.refused.WithLabelValues(c.route.Name, causeWords[why]).Inc()
}

var bearerChallenge = []byte("Bearer")

// unauthenticated asks for a bearer token.
func (c *Chain) unauthenticated(x *exchange.Exchange, message string, why cause) {
	c.challenge(x, message, why, bearerChallenge)
}

// challenge asks for what a challenge of RFC 9110, section 11.3, says.
func (c *Chain) challenge(x *exchange.Exchange, message string, why cause, challenge []byte) {
	c.refuse(x, http.StatusUnauthorized, "unauthenticated", message, why)
	x.Response.Fields.Set(exchange.WWWAuthenticate, challenge)
}
