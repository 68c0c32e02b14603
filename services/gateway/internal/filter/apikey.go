package filter

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// apiKeys looks API keys up by their digest. Which digests are near to one
// another says nothing of the keys, so that the time of a look-up gives none
// away.
type apiKeys struct {
	owners    map[[32]byte]string
	header    fieldName
	query     string
	optional  bool
	challenge []byte // of answers with 401
}

func compileAPIKey(policy *edge.APIKey, config *edge.Config) (*apiKeys, error) {
	if policy == nil {
		return nil, nil
	}
	secret, found := config.Secrets[policy.Secret]
	switch {
	case !found:
		return nil, fmt.Errorf("secret: %q does not exist", policy.Secret)
	case len(secret.APIKeys) == 0:
		return nil, fmt.Errorf("secret: %q holds no API keys", policy.Secret)
	}
	header := policy.Header
	if header == "" {
		header = exchange.XAPIKey.String()
	}
	if !isToken(header) {
		return nil, fmt.Errorf("header: %q is not a header name", header)
	}
	k := &apiKeys{owners: map[[32]byte]string{}, header: nameOf(header), query: policy.Query, optional: policy.Optional}
	k.challenge = []byte(`ApiKey header="` + header + `"`)
	if k.header.id == exchange.Authorization {
		k.challenge = bearerChallenge
	}
	for owner, digest := range secret.APIKeys {
		if _, twice := k.owners[digest]; twice {
			return nil, errors.New("secret: two owners have the same key")
		}
		k.owners[digest] = owner
	}
	return k, nil
}

// take gives the key that a request brings, none where it is empty. The key
// does not go further.
func (k *apiKeys) take(x *exchange.Exchange) (key []byte) {
	key = k.header.valueIn(x.Request.Fields)
	if k.header.id == exchange.Authorization {
		if text, err := bearerToken(key); err == nil {
			key = text
		}
	}
	k.header.removeFrom(x.Request.Fields)
	if k.query != "" && x.Request.HasQuery {
		if value, found := cutQuery(x, k.query); found && key == nil {
			key = value
		}
	}
	return key
}

// apiKey finds the owner of the key that a request brings.
func (c *Chain) apiKey(x *exchange.Exchange) bool {
	k := c.keys
	key := k.take(x)
	if len(key) == 0 {
		if k.optional {
			return true
		}
		c.challenge(x, "an API key is asked for here", causeNoKey, k.challenge)
		return false
	}
	owner, known := k.owners[sha256.Sum256(key)]
	if !known {
		c.challenge(x, "the API key is not known", causeKey, k.challenge)
		return false
	}
	x.Subject = x.Arena.CopyString(owner)
	return true
}

// cutQuery takes every parameter of a name out of the query and returns the
// value of the first.
func cutQuery(x *exchange.Exchange, name string) (value []byte, found bool) {
	query := x.Request.Query
	if !mayHold(query, name) {
		return nil, false
	}
	left := x.Arena.Make(len(query))[:0]
	for rest := query; len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		key, text, _ := bytes.Cut(pair, []byte{'='})
		if string(unescape(x, key)) == name {
			if !found {
				value, found = unescape(x, text), true
			}
			continue
		}
		if len(left) > 0 {
			left = append(left, '&')
		}
		left = append(left, pair...)
	}
	if found {
		x.Request.Query, x.Request.HasQuery = left, len(left) > 0
	}
	return value, found
}

// mayHold spares most requests the closer look.
func mayHold(query []byte, name string) bool {
	return bytes.Contains(query, []byte(name)) || bytes.IndexByte(query, '%') >= 0 || bytes.IndexByte(query, '+') >= 0
}

// unescape decodes a part of a query; what is no escape stays as it is.
func unescape(x *exchange.Exchange, text []byte) []byte {
	if bytes.IndexByte(text, '%') < 0 && bytes.IndexByte(text, '+') < 0 {
		return text
	}
	plain := x.Arena.Make(len(text))[:0]
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(text):
			if high, low := hexDigit(text[i+1]), hexDigit(text[i+2]); high|low < 16 {
				c = high<<4 | low
				i += 2
			}
		}
		plain = append(plain, c)
	}
	return plain
}

func hexDigit(c byte) byte {
	if 'A' <= c && c <= 'F' {
		c += 'a' - 'A'
	}
	return digits[c]
}
