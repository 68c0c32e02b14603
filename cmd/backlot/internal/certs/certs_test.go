package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backlot-video/backlot/cmd/backlot/internal/certs"
)

func TestTwoServicesKnowEachOtherByTheCertificate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if err := certs.Write(dir, "storefront,127.0.0.1", time.Now()); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		t.Fatal("ca.pem holds no certificate")
	}
	client, server := net.Pipe()
	serving := tls.Server(server, &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	})
	done := make(chan error, 1)
	go func() { done <- serving.HandshakeContext(t.Context()) }()
	calling := tls.Client(client, &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "storefront", MinVersion: tls.VersionTLS13,
	})
	if err := calling.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "tls.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is readable by others: %v, %v", info.Mode(), err)
	}
	if certs.Write(dir, "x", time.Now()) == nil {
		t.Error("existing certificates were overwritten")
	}
}
