package token

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

// Verifier checks tokens by a fixed set of public keys; make a new one when
// they change. It is safe for concurrent use.
type Verifier struct {
	keys   map[string]*identityv1.VerificationKey
	clock  func() time.Time
	parser *jwt.Parser
}

// NewVerifier returns a verifier by these keys. Keys of the wrong length
// are left out.
func NewVerifier(keys []*identityv1.VerificationKey, clock func() time.Time) *Verifier {
	v := &Verifier{
		keys: make(map[string]*identityv1.VerificationKey, len(keys)), clock: clock,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithExpirationRequired(), jwt.WithTimeFunc(clock), jwt.WithStrictDecoding(),
		),
	}
	for _, key := range keys {
		if len(key.GetEd25519PublicKey()) == ed25519.PublicKeySize {
			v.keys[key.GetKeyId()] = key
		}
	}
	return v
}

// Token returns who a sign-in token signs in, until when.
func (v *Verifier) Token(text string) (identity.Principal, error) {
	if len(text) > maxBytes {
		return identity.Principal{}, ErrMalformed
	}
	var c claims
	_, err := v.parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		key, err := v.key(id, identityv1.VerificationKey_USE_TOKEN)
		if err != nil {
			return nil, err
		}
		if c.Issuer != key.GetIssuer() {
			return nil, ErrForged
		}
		return ed25519.PublicKey(key.GetEd25519PublicKey()), nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return identity.Principal{}, ErrExpired
	case errors.Is(err, jwt.ErrTokenMalformed):
		return identity.Principal{}, ErrMalformed
	case err != nil:
		return identity.Principal{}, ErrForged
	}
	kind, known := kindOf(c.Role)
	if !known || c.Subject == "" || c.TenantID == "" {
		return identity.Principal{}, ErrMalformed
	}
	return identity.Principal{Kind: kind, ID: c.Subject, TenantID: c.TenantID, Expires: c.ExpiresAt.Time}, nil
}

// Media returns what a media token grants.
func (v *Verifier) Media(text string) (*identityv1.MediaGrant, error) {
	if len(text) > maxBytes {
		return nil, ErrMalformed
	}
	raw, err := encoding.DecodeString(text)
	if err != nil || len(raw) <= ed25519.SignatureSize {
		return nil, ErrMalformed
	}
	payload, signature := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	grant := new(identityv1.MediaGrant)
	if err := proto.Unmarshal(payload, grant); err != nil {
		return nil, ErrMalformed
	}
	key, err := v.key(grant.GetKeyId(), identityv1.VerificationKey_USE_MEDIA)
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(key.GetEd25519PublicKey(), mediaMessage(payload), signature) {
		return nil, ErrForged
	}
	if v.clock().UnixMicro() >= grant.GetExpiresAt() {
		return nil, ErrExpired
	}
	return grant, nil
}

// key finds a key that is still good for a use.
func (v *Verifier) key(id string, use identityv1.VerificationKey_Use) (*identityv1.VerificationKey, error) {
	key, found := v.keys[id]
	if !found || !slices.Contains(key.GetUses(), use) {
		return nil, ErrForged
	}
	if end := key.GetNotAfter(); end != 0 && v.clock().UnixMicro() > end {
		return nil, ErrExpired
	}
	return key, nil
}
