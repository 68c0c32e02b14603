package upstream

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// sessionCache bounds the TLS sessions that a cluster keeps for resumption.
const sessionCache = 256

// credentials are what TLS to the endpoints of a cluster goes by. A kept
// connection made with others is not used again, so that a secret that was
// replaced is soon out of use without cutting anything off.
type credentials struct {
	config *tls.Config
	// What it was made of, so that equal ones are not made anew.
	names  edge.ClusterTLS
	secret [2]edge.Secret // authority, certificate
}

// credentials makes those of a cluster, or returns those that a live view
// has already of the same secrets.
func (s *Set) credentials(cluster string, t *edge.ClusterTLS, secrets map[string]edge.Secret) (*credentials, error) {
	c := &credentials{
		names:  *t,
		secret: [2]edge.Secret{secrets[t.Authority], secrets[t.Certificate]},
		config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName},
	}
	if made := s.sameCredentials(cluster, c); made != nil {
		return made, nil
	}
	c.config.ClientSessionCache = tls.NewLRUClientSessionCache(sessionCache)
	var faults []error
	if t.Authority != "" {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(secrets[t.Authority].AuthorityPEM) {
			faults = append(faults, fmt.Errorf("tls.authority: secret %q holds no certificate of an authority", t.Authority))
		}
		c.config.RootCAs = roots
	}
	if t.Certificate != "" {
		secret, found := secrets[t.Certificate]
		pair, err := tls.X509KeyPair(secret.CertificatePEM, secret.KeyPEM)
		switch {
		case !found:
			faults = append(faults, fmt.Errorf("tls.certificate: secret %q does not exist", t.Certificate))
		case err != nil:
			faults = append(faults, fmt.Errorf("tls.certificate: secret %q: %w", t.Certificate, err))
		}
		c.config.Certificates = []tls.Certificate{pair}
	}
	return c, errors.Join(faults...)
}

// sameCredentials are those that the cluster has by now, where they are made
// of the same secrets.
func (s *Set) sameCredentials(cluster string, c *credentials) *credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[cluster]
	if g == nil {
		return nil
	}
	if made := g.newest.Load().credentials; made != s.house && made.same(c) {
		return made
	}
	return nil
}

func (c *credentials) same(other *credentials) bool {
	if c.names != other.names {
		return false
	}
	for i := range c.secret {
		a, b := &c.secret[i], &other.secret[i]
		if !bytes.Equal(a.AuthorityPEM, b.AuthorityPEM) || !bytes.Equal(a.CertificatePEM, b.CertificatePEM) || !bytes.Equal(a.KeyPEM, b.KeyPEM) {
			return false
		}
	}
	return true
}

// clientConfig is for one connection to an address.
func (c *credentials) clientConfig(address string, protocols []string) *tls.Config {
	config := c.config.Clone()
	config.NextProtos = protocols
	if config.ServerName == "" {
		config.ServerName = hostOf(address)
	}
	return config
}

// hostOf is the name that a certificate is expected to have.
func hostOf(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return "localhost"
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}
