package object

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// SecretKind is the kind of the gateways' secrets.
const SecretKind = "Secret"

// secret checks material that is in the object; files are looked at by the
// gateways. No fault holds any of the material.
func (f *finder) secret(s *gatewayv1.Secret, now time.Time) {
	switch material := s.GetMaterial().(type) {
	case *gatewayv1.Secret_Certificate:
		f.certificate(material.Certificate, now)
	case *gatewayv1.Secret_Authority:
		if text, given := f.inline(material.Authority); given {
			f.certificates("authority.inline", text, now)
		}
	case *gatewayv1.Secret_Jwks:
		if text, given := f.inline(material.Jwks); given {
			f.jwks(text)
		}
	}
}

// inline returns material that is in the object and not just redacted, which
// is found elsewhere.
func (f *finder) inline(m *gatewayv1.Material) (string, bool) {
	text := m.GetInline()
	return text, text != "" && !strings.HasPrefix(text, redacted)
}

func (f *finder) certificate(c *gatewayv1.Certificate, now time.Time) {
	chain, hasChain := f.inline(c.GetChain())
	key, hasKey := f.inline(c.GetKey())
	good := !hasChain || f.certificates("certificate.chain.inline", chain, now)
	if hasKey && !slices.ContainsFunc(blocks(key), func(b *pem.Block) bool { return strings.HasSuffix(b.Type, "PRIVATE KEY") }) {
		f.addf("certificate.key.inline", "holds no private key in PEM")
		return
	}
	if !good || !hasChain || !hasKey {
		return
	}
	if _, err := tls.X509KeyPair([]byte(chain), []byte(key)); err != nil {
		f.addf("certificate.key.inline", "does not fit the certificate: %v", err)
	}
}

// certificates makes sure that there are some, all readable and in force.
func (f *finder) certificates(path, text string, now time.Time) bool {
	before := len(f.faults)
	all := blocks(text)
	for n, block := range all {
		if block.Type != "CERTIFICATE" {
			f.addf(path, "block %d is a %s, not a CERTIFICATE", n+1, block.Type)
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			f.addf(path, "certificate %d: %v", n+1, err)
		case now.After(certificate.NotAfter):
			f.addf(path, "certificate %d has expired at %s", n+1, certificate.NotAfter.Format(time.RFC3339))
		}
	}
	if len(all) == 0 {
		f.addf(path, "holds no certificate in PEM")
	}
	return len(f.faults) == before
}

func blocks(text string) []*pem.Block {
	var all []*pem.Block
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		all = append(all, block)
	}
}

func (f *finder) jwks(text string) {
	var set struct {
		Keys []struct {
			Type string `json:"kty"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		f.addf("jwks.inline", "is no JSON Web Key Set, as in {\"keys\": [...]}")
		return
	}
	if len(set.Keys) == 0 {
		f.addf("jwks.inline", "holds no key: every token would be refused")
	}
	for n, key := range set.Keys {
		if !slices.Contains([]string{"RSA", "EC", "OKP", "oct"}, key.Type) {
			f.addf("jwks.inline", "key %d is of the unknown type %q", n+1, key.Type)
		}
	}
}
