package mq_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/mq"
)

// selfSigned is a certificate of 127.0.0.1 and who trusts it.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mq"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
}

func TestServerWithTLSServesBothWays(t *testing.T) {
	serverTLS, clientTLS := selfSigned(t)
	server, err := mq.NewServer(mq.ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Token: "secret", TLS: serverTLS})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for name, cfg := range map[string]mq.ClientConfig{
		"in process": {Server: server, Token: "secret"},
		"by address": {URL: server.URL(), Token: "secret", TLS: clientTLS},
	} {
		client, err := mq.Connect(t.Context(), cfg)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := client.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
