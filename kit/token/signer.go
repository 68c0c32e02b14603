package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/kit/identity"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

// Signer issues tokens. It is safe for concurrent use.
type Signer struct {
	issuer string
	key    ed25519.PrivateKey
	keyID  string
	clock  func() time.Time
}

// OpenSigner reads the private key in a file, and makes both where there
// is none (mode 0600).
func OpenSigner(path, issuer string, clock func() time.Time) (*Signer, error) {
	content, err := file.Once(path, newKey)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(content)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("signing key: %s is not base64 of %d bytes", path, ed25519.SeedSize)
	}
	key := ed25519.NewKeyFromSeed(seed)
	sum := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return &Signer{issuer: issuer, key: key, keyID: hex.EncodeToString(sum[:8]), clock: clock}, nil
}

// newKey is a new private key as it stands in its file.
func newKey() []byte {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed)
	return []byte(base64.StdEncoding.EncodeToString(seed) + "\n")
}

// VerificationKey is the public half, for the configstore.
func (s *Signer) VerificationKey() *identityv1.VerificationKey {
	return &identityv1.VerificationKey{
		KeyId: s.keyID, Issuer: s.issuer,
		Uses:             []identityv1.VerificationKey_Use{identityv1.VerificationKey_USE_TOKEN, identityv1.VerificationKey_USE_MEDIA},
		Ed25519PublicKey: s.key.Public().(ed25519.PublicKey),
	}
}

// Token signs a person in until p.Expires.
func (s *Signer) Token(p identity.Principal) (string, error) {
	role, known := roles[p.Kind]
	if !known {
		return "", fmt.Errorf("no sign-in token for a principal of kind %s", p.Kind)
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Subject: p.ID,
			IssuedAt: jwt.NewNumericDate(s.clock()), ExpiresAt: jwt.NewNumericDate(p.Expires),
		},
		TenantID: p.TenantID, Role: role,
	})
	unsigned.Header["kid"] = s.keyID
	return unsigned.SignedString(s.key)
}

// Media signs a grant; its key id is filled in.
func (s *Signer) Media(grant *identityv1.MediaGrant) (string, error) {
	grant = proto.CloneOf(grant)
	grant.KeyId = s.keyID
	payload, err := proto.Marshal(grant)
	if err != nil {
		return "", fmt.Errorf("sign media grant: %w", err)
	}
	return encoding.EncodeToString(append(payload, ed25519.Sign(s.key, mediaMessage(payload))...)), nil
}

// mediaMessage keeps media signatures apart from any other use of the key.
func mediaMessage(payload []byte) []byte {
	return append([]byte("backlot media grant v1\x00"), payload...)
}
