package secret

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// certificate is one that is shown, with what is asked of it often.
type certificate struct {
	tls  *tls.Certificate
	leaf *x509.Certificate
	sum  [sha256.Size]byte // of the PEM texts
}

func sumOf(cert, key []byte) [sha256.Size]byte {
	digest := sha256.New()
	digest.Write(cert)
	digest.Write([]byte{0})
	digest.Write(key)
	return [sha256.Size]byte(digest.Sum(nil))
}

func (c *certificate) is(cert, key []byte) bool { return c.sum == sumOf(cert, key) }

// expiry is in Unix seconds.
func (c *certificate) expiry() float64 { return float64(c.leaf.NotAfter.Unix()) }

func parsePair(cert, key []byte) (*certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	leaf := pair.Leaf
	if leaf == nil {
		if leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, err
		}
		pair.Leaf = leaf
	}
	return &certificate{tls: &pair, leaf: leaf, sum: sumOf(cert, key)}, nil
}

func parseAuthorities(text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("no certificate of an authority in PEM")
	}
	return pool, nil
}
