package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

const (
	maxKeys = 100
	minRSA  = 2048 // bits
	maxRSA  = 8192
	// maxTries bounds the keys tried for a token that names none.
	maxTries = 4
)

// KeySet is a JSON Web Key Set (RFC 7517).
type KeySet struct{ keys []key }

// key is a public key with the algorithms that it may be used with.
type key struct {
	id         string
	algorithms []string
	rsa        *rsa.PublicKey
	ecdsa      *ecdsa.PublicKey
	ed25519    ed25519.PublicKey
}

// Len is the number of keys that can verify something.
func (s *KeySet) Len() int { return len(s.keys) }

// ParseKeySet reads a key set. Keys of kinds that are not used here, and those
// meant for something else than signatures, are left out, as the standard
// wants; a key of a kind that is used and that is broken is an error, and so
// is a set that has no key left.
func ParseKeySet(data []byte) (*KeySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys, at most %d are taken", len(raw.Keys), maxKeys)
	}
	set := &KeySet{}
	for i, text := range raw.Keys {
		o, err := parseObject(text)
		if err != nil {
			return nil, fmt.Errorf("key set: keys[%d]: is no JSON object with names that stand once", i)
		}
		k, err := parseKey(o)
		if err != nil {
			return nil, fmt.Errorf("key set: keys[%d]: %w", i, err)
		}
		if k != nil {
			set.keys = append(set.keys, *k)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("key set: none of its keys can verify signatures (RSA, EC P-256 and P-384, Ed25519)")
	}
	return set, nil
}

// parseKey returns nil for a key that is of no use here.
func parseKey(o object) (*key, error) {
	if use, said := o["use"].text(); said && use != "sig" {
		return nil, nil
	}
	if uses, said := o["key_ops"].texts(); said && !slices.Contains(uses, "verify") {
		return nil, nil
	}
	k := &key{}
	k.id, _ = o["kid"].text()
	kind, _ := o["kty"].text()
	var err error
	switch kind {
	case "RSA":
		k.algorithms = []string{"RS256", "RS384", "RS512", "PS256"}
		k.rsa, err = parseRSA(o)
	case "EC":
		err = k.parseEC(o)
	case "OKP":
		err = k.parseOKP(o)
	}
	if err != nil {
		return nil, err
	}
	if only, said := o["alg"].text(); said {
		if !slices.Contains(k.algorithms, only) {
			return nil, nil
		}
		k.algorithms = []string{only}
	}
	if len(k.algorithms) == 0 {
		return nil, nil
	}
	return k, nil
}

// bytes is a member that holds base64url.
func (o object) bytes(name string) ([]byte, error) {
	text, found := o[name].text()
	if !found {
		return nil, fmt.Errorf("%s: is missing", name)
	}
	raw, err := decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: is not base64url without padding", name)
	}
	return raw, nil
}

func parseRSA(o object) (*rsa.PublicKey, error) {
	n, err := o.bytes("n")
	if err != nil {
		return nil, err
	}
	e, err := o.bytes("e")
	if err != nil {
		return nil, err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, fmt.Errorf("n: has %d bits, must have %d to %d", bits, minRSA, maxRSA)
	}
	if exponent.BitLen() > 31 || exponent.Int64() < 3 || exponent.Bit(0) == 0 {
		return nil, errors.New("e: must be odd, at least 3 and below 2^31")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (k *key) parseEC(o object) error {
	name, _ := o["crv"].text()
	var curve elliptic.Curve
	switch name {
	case "P-256":
		curve, k.algorithms = elliptic.P256(), []string{"ES256"}
	case "P-384":
		curve, k.algorithms = elliptic.P384(), []string{"ES384"}
	default:
		return nil
	}
	size := (curve.Params().BitSize + 7) / 8
	point := []byte{4}
	for _, member := range []string{"x", "y"} {
		coordinate, err := o.bytes(member)
		if err != nil {
			return err
		}
		if len(coordinate) != size {
			return fmt.Errorf("%s: has %d bytes, must have %d", member, len(coordinate), size)
		}
		point = append(point, coordinate...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return fmt.Errorf("x, y: %w", err)
	}
	k.ecdsa = public
	return nil
}

func (k *key) parseOKP(o object) error {
	if name, _ := o["crv"].text(); name != "Ed25519" {
		return nil
	}
	public, err := o.bytes("x")
	if err != nil {
		return err
	}
	if len(public) != ed25519.PublicKeySize {
		return fmt.Errorf("x: has %d bytes, must have %d", len(public), ed25519.PublicKeySize)
	}
	k.algorithms, k.ed25519 = []string{"EdDSA"}, public
	return nil
}

// verify tries the keys that have the id, or without one those that fit the
// algorithm.
func (s *KeySet) verify(algorithm, id string, named bool, signed, signature []byte) error {
	fault, tries := ErrKey, 0
	for i := range s.keys {
		k := &s.keys[i]
		if named && k.id != id {
			continue
		}
		if !slices.Contains(k.algorithms, algorithm) {
			if named {
				fault = ErrAlgorithm
			}
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		if k.verify(algorithm, signed, signature) {
			return nil
		}
		fault = ErrSignature
	}
	return fault
}

func (k *key) verify(algorithm string, signed, signature []byte) bool {
	switch algorithm {
	case "RS256":
		sum := sha256.Sum256(signed)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, sum[:], signature) == nil
	case "RS384":
		sum := sha512.Sum384(signed)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA384, sum[:], signature) == nil
	case "RS512":
		sum := sha512.Sum512(signed)
		return rsa.VerifyPKCS1v15(k.rsa, crypto.SHA512, sum[:], signature) == nil
	case "PS256":
		sum := sha256.Sum256(signed)
		return rsa.VerifyPSS(k.rsa, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "ES256":
		sum := sha256.Sum256(signed)
		return verifyECDSA(k.ecdsa, sum[:], signature)
	case "ES384":
		sum := sha512.Sum384(signed)
		return verifyECDSA(k.ecdsa, sum[:], signature)
	case "EdDSA":
		return ed25519.Verify(k.ed25519, signed, signature)
	}
	return false
}

// verifyECDSA: the signature is both numbers, each of the curve's size.
func verifyECDSA(public *ecdsa.PublicKey, sum, signature []byte) bool {
	size := (public.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, sum, r, s)
}
