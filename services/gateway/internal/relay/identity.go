package relay

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
)

var errScheme = errors.New("authorization: must be `Bearer <token>`")

// authenticate returns who calls: anonymous without a token. A token that
// is sent must be good.
func authenticate(verifier *token.Verifier, r *http.Request) (identity.Principal, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return identity.Principal{Kind: identity.Anonymous, TenantID: identity.DefaultTenant}, nil
	}
	scheme, text, found := strings.Cut(header, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return identity.Principal{}, errScheme
	}
	principal, err := verifier.Token(strings.TrimSpace(text))
	if err != nil {
		return identity.Principal{}, errors.New("authorization: " + err.Error() + "; sign in again")
	}
	return principal, nil
}

// authorise returns a status other than 0 where the route is not for the
// caller.
func authorise(allowed []identity.Kind, p identity.Principal) (code string, status int, text string) {
	switch {
	case len(allowed) == 0 || slices.Contains(allowed, p.Kind):
		return "", 0, ""
	case p.Kind == identity.Anonymous:
		return "unauthenticated", http.StatusUnauthorized, "authorization: sign in first"
	default:
		return "permission_denied", http.StatusForbidden, "authorization: not open to this kind of account"
	}
}

// stamp replaces what the outside says of identity by what the gateway
// knows.
func stamp(keys *identity.Keys, header http.Header, p identity.Principal) error {
	header.Del("Authorization")
	header.Del(identity.Header)
	p.Expires = p.Expires.UTC()
	signed, err := keys.Sign(p)
	if err != nil {
		return err
	}
	header.Set(identity.Header, signed)
	return nil
}
