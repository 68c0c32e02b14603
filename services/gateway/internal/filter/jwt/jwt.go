// Package jwt verifies JSON Web Tokens (RFC 7519) of other issuers by a key
// set of theirs.
//
//	jwt.go     what a token has to say, and its faults
//	key.go     KeySet: keys and the algorithms that each may be used with
//	object.go  JSON objects whose names are exact and stand once
//
// An algorithm is looked up at the key, never taken from the token: RS256,
// RS384, RS512 and PS256 with RSA keys, ES256 and ES384 with keys of their
// curve, EdDSA with Ed25519. A key of another kind, secrets of HMAC among
// them, is not used. Tokens without an end are refused. It does not fetch key
// sets, remember tokens or decrypt.
package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// What Verify answers with.
var (
	ErrMalformed = errors.New("token is malformed")
	ErrAlgorithm = errors.New("token's algorithm is not allowed with this key")
	ErrKey       = errors.New("token's key is not known")
	ErrSignature = errors.New("token's signature does not match")
	ErrExpired   = errors.New("token has expired")
	ErrNotYet    = errors.New("token is not good yet")
	ErrIssuer    = errors.New("token is of another issuer")
	ErrAudience  = errors.New("token is for another audience")
)

const (
	// MaxToken bounds a token in bytes.
	MaxToken = 8 << 10
	// latest is the end of the year 9999, beyond which no date is meant.
	latest = 253402300799
)

// Rules are what must hold beside the signature.
type Rules struct {
	Issuer    string   // empty: not looked at
	Audiences []string // one of them; none: not looked at
	Leeway    time.Duration
}

// Claims are what a verified token says.
type Claims struct {
	Subject string    // sub; empty where it has none
	Expires time.Time // without leeway
	object  object
}

// Text is a claim as a text: a string as it is, a list of strings with commas
// between them, anything else as JSON. false where there is none.
func (c *Claims) Text(name string) (string, bool) {
	raw, found := c.object[name]
	if !found {
		return "", false
	}
	if text, ok := raw.text(); ok {
		return text, true
	}
	if list, ok := raw.texts(); ok {
		joined := ""
		for i, text := range list {
			if i > 0 {
				joined += ","
			}
			joined += text
		}
		return joined, true
	}
	return string(raw), true
}

var encoding = base64.RawURLEncoding.Strict()

// Verify returns what a token says, if it is signed by one of the keys and
// keeps the rules.
func (s *KeySet) Verify(token []byte, rules *Rules, now time.Time) (*Claims, error) {
	head, payload, signature, err := split(token)
	if err != nil {
		return nil, err
	}
	if err := s.check(head, token[:len(token)-len(signature)-1], signature); err != nil {
		return nil, err
	}
	raw, err := decode(payload)
	if err != nil {
		return nil, err
	}
	claims, err := parseObject(raw)
	if err != nil {
		return nil, err
	}
	return rules.apply(claims, now)
}

// split cuts a token in three, still encoded.
func split(token []byte) (head, payload, signature []byte, err error) {
	if len(token) > MaxToken {
		return nil, nil, nil, ErrMalformed
	}
	first := slices.Index(token, '.')
	if first < 0 {
		return nil, nil, nil, ErrMalformed
	}
	second := slices.Index(token[first+1:], '.')
	if second < 0 {
		return nil, nil, nil, ErrMalformed
	}
	second += first + 1
	if slices.Contains(token[second+1:], '.') {
		return nil, nil, nil, ErrMalformed
	}
	return token[:first], token[first+1 : second], token[second+1:], nil
}

// decode reads base64url without padding; line ends, which the library lets
// pass, are refused.
func decode(text []byte) ([]byte, error) {
	if slices.Contains(text, '\n') || slices.Contains(text, '\r') {
		return nil, ErrMalformed
	}
	raw, err := encoding.AppendDecode(nil, text)
	if err != nil {
		return nil, ErrMalformed
	}
	return raw, nil
}

// check verifies the signature by the key that the head names.
func (s *KeySet) check(head, signed, signature []byte) error {
	raw, err := decode(head)
	if err != nil {
		return err
	}
	header, err := parseObject(raw)
	if err != nil {
		return err
	}
	if _, found := header["crit"]; found {
		return fmt.Errorf("%w: extensions are not understood", ErrMalformed)
	}
	algorithm, found := header["alg"].text()
	if !found {
		return ErrMalformed
	}
	id, named := "", false
	if value, found := header["kid"]; found {
		if id, named = value.text(); !named {
			return ErrMalformed
		}
	}
	bytes, err := decode(signature)
	if err != nil {
		return err
	}
	return s.verify(algorithm, id, named, signed, bytes)
}

// apply looks at the registered claims.
func (r *Rules) apply(o object, now time.Time) (*Claims, error) {
	expires, found, err := o.date("exp")
	if err != nil || !found {
		return nil, ErrMalformed
	}
	if !now.Before(expires.Add(r.Leeway)) {
		return nil, ErrExpired
	}
	for _, name := range []string{"nbf", "iat"} {
		begins, found, err := o.date(name)
		if err != nil {
			return nil, err
		}
		if found && now.Add(r.Leeway).Before(begins) {
			return nil, ErrNotYet
		}
	}
	if r.Issuer != "" {
		if issuer, _ := o["iss"].text(); issuer != r.Issuer {
			return nil, ErrIssuer
		}
	}
	if len(r.Audiences) > 0 && !slices.ContainsFunc(o.audiences(), func(a string) bool { return slices.Contains(r.Audiences, a) }) {
		return nil, ErrAudience
	}
	claims := &Claims{Expires: expires, object: o}
	if raw, found := o["sub"]; found {
		if claims.Subject, found = raw.text(); !found {
			return nil, ErrMalformed
		}
	}
	return claims, nil
}

func (o object) audiences() []string {
	if one, ok := o["aud"].text(); ok {
		return []string{one}
	}
	list, _ := o["aud"].texts()
	return list
}

// date is a NumericDate: seconds since 1970, fractions allowed.
func (o object) date(name string) (time.Time, bool, error) {
	raw, found := o[name]
	if !found {
		return time.Time{}, false, nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(seconds >= 0 && seconds <= latest) {
		return time.Time{}, false, ErrMalformed
	}
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*1e9)), true, nil
}

// value is one JSON value, valid.
type value []byte

func (v value) text() (string, bool) {
	var text string
	if len(v) == 0 || v[0] != '"' || json.Unmarshal(v, &text) != nil {
		return "", false
	}
	return text, true
}

func (v value) texts() ([]string, bool) {
	var list []string
	if len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &list) != nil {
		return nil, false
	}
	return list, true
}
