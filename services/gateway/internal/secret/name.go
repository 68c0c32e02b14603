package secret

import (
	"crypto/tls"
	"errors"
	"strings"
)

// names finds certificates by server name: the exact one, the wildcard of its
// domain, the first of the listener. A name may have several, of different
// kinds of keys.
type names struct {
	byName   map[string][]*tls.Certificate // in lower case; wildcards without their star
	fallback []*tls.Certificate
}

func newNames(certs []*certificate) *names {
	n := &names{byName: map[string][]*tls.Certificate{}}
	for _, c := range certs {
		for _, name := range c.leaf.DNSNames {
			name = strings.ToLower(strings.TrimPrefix(name, "*"))
			n.byName[name] = append(n.byName[name], c.tls)
		}
		n.fallback = append(n.fallback, c.tls)
	}
	return n
}

var errNoCertificate = errors.New("no certificate for this name")

// find returns the certificates of a name, the best first.
func (n *names) find(name string) []*tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.HasPrefix(name, ".") {
		return n.fallback
	}
	if found := n.byName[name]; found != nil {
		return found
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		if found := n.byName[name[dot:]]; found != nil {
			return found
		}
	}
	return n.fallback
}

// choose takes the first certificate whose kind of key the client knows.
func choose(n *names) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		found := n.find(hello.ServerName)
		if len(found) == 0 {
			return nil, errNoCertificate
		}
		if len(found) > 1 && hello.ServerName != "" {
			for _, c := range found {
				if hello.SupportsCertificate(c) == nil {
					return c, nil
				}
			}
		}
		return found[0], nil
	}
}
