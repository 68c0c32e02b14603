package filter

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// clientCert asks for a certificate, which TLS has verified, with a name that
// is allowed.
type clientCert struct {
	names    map[string]struct{}
	suffixes []string // of `*.example.com`: `.example.com`
}

func compileClientCert(policy *edge.ClientCert) (*clientCert, error) {
	if policy == nil {
		return nil, nil
	}
	c := &clientCert{names: map[string]struct{}{}}
	for _, name := range policy.Names {
		suffix, wild := strings.CutPrefix(name, "*")
		switch {
		case name == "":
			return nil, errors.New("names: one is empty")
		case wild && (len(suffix) < 2 || suffix[0] != '.' || strings.Contains(suffix, "*")):
			return nil, fmt.Errorf("names: %q: * stands only for the first labels, as in *.example.com", name)
		case wild:
			c.suffixes = append(c.suffixes, suffix)
		default:
			c.names[name] = struct{}{}
		}
	}
	return c, nil
}

// allows tells whether a name is one of those allowed.
func (c *clientCert) allows(name string) bool {
	if _, found := c.names[name]; found && name != "" {
		return true
	}
	for _, suffix := range c.suffixes {
		if len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// nameOf is the name by which a certificate is allowed, or where every one is,
// its first.
func (c *clientCert) nameOf(leaf *x509.Certificate) (string, bool) {
	every := len(c.names)+len(c.suffixes) == 0
	for _, names := range [][]string{leaf.DNSNames, leaf.EmailAddresses, {leaf.Subject.CommonName}} {
		for _, name := range names {
			if name != "" && (every || c.allows(name)) {
				return name, true
			}
		}
	}
	for _, uri := range leaf.URIs {
		if name := uri.String(); every || c.allows(name) {
			return name, true
		}
	}
	return "", every
}

// verified is the certificate that TLS has verified, nil: there is none.
func verified(x *exchange.Exchange) *x509.Certificate {
	state := x.Request.TLS
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}

func (c *Chain) certificate(x *exchange.Exchange) bool {
	leaf := verified(x)
	if leaf == nil {
		c.refuse(x, 401, "unauthenticated", "a client certificate is asked for here", causeNoCertificate)
		return false
	}
	name, allowed := c.cert.nameOf(leaf)
	if !allowed {
		c.refuse(x, 403, "permission_denied", "not open to this client certificate", causeCertificate)
		return false
	}
	x.Subject = x.Arena.CopyString(name)
	return true
}
