// Package testcert makes certificates for tests: authorities in memory and
// leaves that serve as servers' and clients' alike. It is not for servers in
// use: keys are in plain text, and authorities never end. A fault is one of the
// test, so it panics.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TB is the part of testing.TB that is needed, as that of testport.
type TB interface {
	Helper()
	Fatal(args ...any)
	TempDir() string
}

// Authority signs leaves. It is valid at any time from 1970 to 2999.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes an authority that nobody else trusts.
func New() *Authority {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &Authority{must(x509.ParseCertificate(der)), key}
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte { return block("CERTIFICATE", a.certificate.Raw) }

// Roots trust this authority alone.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Leaf is a certificate with its key and who signed it, all in PEM.
type Leaf struct{ Certificate, Key, Authority []byte }

// Leaf signs one for hosts, names or addresses, for an hour from now. The first
// host is its common name too.
func (a *Authority) Leaf(hosts ...string) Leaf {
	return a.LeafUntil(time.Now().Add(time.Hour), hosts...)
}

// LeafUntil is Leaf with its end, which may be past.
func (a *Authority) LeafUntil(end time.Time, hosts ...string) Leaf {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: end.Add(-24 * time.Hour), NotAfter: end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key))
	return Leaf{
		Certificate: block("CERTIFICATE", der), Key: block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))), Authority: a.PEM(),
	}
}

// Pair is the leaf as crypto/tls takes it.
func (l Leaf) Pair() tls.Certificate { return must(tls.X509KeyPair(l.Certificate, l.Key)) }

// Files writes the leaf to a folder that goes with the test, and returns the
// paths.
func (l Leaf) Files(t TB) (authority, certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("ca.pem", l.Authority), write("cert.pem", l.Certificate), write("key.pem", l.Key)
}

func serial() *big.Int { return must(rand.Int(rand.Reader, big.NewInt(1<<62))) }

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
