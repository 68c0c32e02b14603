// Package token makes and checks what the edge lets in by: sign-in tokens
// of people (JWT, EdDSA) and signed media addresses.
//
//	token.go   kinds of fault, and what both sides share
//	signer.go  Signer: the issuer's side, with its private key file
//	verifier.go  Verifier: the edge's side, with public keys
//
// A media token is base64url(MediaGrant in wire format ++ Ed25519
// signature); it stands in the path, so that addresses relative to a
// playlist inherit it. Nothing here asks the network or a database: a token
// is good until it expires.
package token

import (
	"encoding/base64"
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"github.com/backlot-video/backlot/kit/identity"
)

// What the verifier answers with.
var (
	ErrMalformed = errors.New("token is malformed")
	ErrForged    = errors.New("token's signature does not match")
	ErrExpired   = errors.New("token has expired")
)

// maxBytes bounds a token in its text form.
const maxBytes = 4096

var encoding = base64.RawURLEncoding.Strict()

// claims of a sign-in token.
type claims struct {
	jwt.RegisteredClaims
	TenantID string `json:"tenant"`
	Role     string `json:"role"`
}

var roles = map[identity.Kind]string{
	identity.Viewer: "viewer", identity.Creator: "creator", identity.Operator: "operator",
}

func kindOf(role string) (identity.Kind, bool) {
	for kind, name := range roles {
		if name == role {
			return kind, true
		}
	}
	return 0, false
}
