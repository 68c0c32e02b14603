package secret

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// issue is a certificate of an authority as configurations carry it.
func issue(a *testcert.Authority, names ...string) edge.Secret {
	leaf := a.Leaf(names...)
	return edge.Secret{CertificatePEM: leaf.Certificate, KeyPEM: leaf.Key}
}

func newStore(t *testing.T, config Config) *Store {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// handshake connects over TLS; both ends are closed with the test.
func handshake(t *testing.T, server, client *tls.Config) (near, far *tls.Conn, err error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan *tls.Conn, 1)
	go func() {
		nc, err := listener.Accept()
		if err != nil {
			close(accepted)
			return
		}
		far := tls.Server(nc, server)
		if far.Handshake() == nil {
			_, _ = far.Write([]byte{'!'})
		} else {
			_ = far.Close()
		}
		accepted <- far
	}()
	nc, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near = tls.Client(nc, client)
	err = near.Handshake()
	if err == nil { // TLS 1.3 tells of a refused certificate later; tickets come with the first byte
		_, err = io.ReadFull(near, make([]byte, 1))
	}
	if err != nil {
		_ = nc.Close()
	}
	far = <-accepted
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	return near, far, err
}

func trusting(a *testcert.Authority, name string) *tls.Config {
	return &tls.Config{RootCAs: a.Roots(), ServerName: name, NextProtos: []string{"h2"}}
}

func TestCertificatesGoByServerName(t *testing.T) {
	a := testcert.New()
	s := newStore(t, Config{})
	if err := s.Swap(&edge.Config{
		Listeners: []edge.Listener{{Name: "main", TLS: &edge.ListenerTLS{Certificates: []string{"one", "two", "wild"}}}},
		Secrets: map[string]edge.Secret{
			"one": issue(a, "one.test"), "two": issue(a, "two.test", "other.two.test"), "wild": issue(a, "*.two.test"),
		},
	}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"one.test": "one.test", "TWO.test": "two.test", "other.two.test": "two.test", "any.two.test": "*.two.test",
		"deep.any.two.test": "one.test", "unknown.test": "one.test", "": "one.test",
	} {
		config := trusting(a, name)
		config.InsecureSkipVerify = true
		near, _, err := handshake(t, s.Listener("main"), config)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		state := near.ConnectionState()
		if got := state.PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%q got the certificate of %q, want %q", name, got, want)
		}
		if state.NegotiatedProtocol != "h2" {
			t.Errorf("protocol is %q", state.NegotiatedProtocol)
		}
	}
	old := trusting(a, "one.test")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, err := handshake(t, s.Listener("main"), old); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if _, _, err := handshake(t, s.Listener("unknown"), trusting(a, "one.test")); err == nil {
		t.Error("a listener that does not exist has a certificate")
	}
}

func TestSwapKeepsConnectionsAndNamesFaults(t *testing.T) {
	a := testcert.New()
	s := newStore(t, Config{})
	config := func(secret edge.Secret) *edge.Config {
		return &edge.Config{
			Listeners: []edge.Listener{{Name: "main", TLS: &edge.ListenerTLS{Certificates: []string{"site"}}}},
			Secrets:   map[string]edge.Secret{"site": secret},
		}
	}
	first, second := issue(a, "site.test"), issue(a, "site.test")
	if err := s.Swap(config(first)); err != nil {
		t.Fatal(err)
	}
	listener := s.Listener("main")
	near, far, err := handshake(t, listener, trusting(a, "site.test"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(config(second)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Error("a swap broke a connection:", err)
	}
	if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
		t.Error("a swap broke a connection:", err)
	}
	again, _, err := handshake(t, listener, trusting(a, "site.test"))
	if err != nil {
		t.Fatal(err)
	}
	if near.ConnectionState().PeerCertificates[0].Equal(again.ConnectionState().PeerCertificates[0]) {
		t.Error("the new certificate is not in force")
	}
	mixed := edge.Secret{CertificatePEM: first.CertificatePEM, KeyPEM: second.KeyPEM}
	err = s.Swap(config(mixed))
	if err == nil || !strings.Contains(err.Error(), `listener "main"`) || !strings.Contains(err.Error(), `secret "site"`) {
		t.Errorf("error is %v", err)
	}
	if _, _, err := handshake(t, listener, trusting(a, "site.test")); err != nil {
		t.Error("a bad swap took the old certificate away:", err)
	}
}

func TestClientsAreAskedForCertificates(t *testing.T) {
	a, clients, others := testcert.New(), testcert.New(), testcert.New()
	s := newStore(t, Config{})
	config := func(by *testcert.Authority) *edge.Config {
		return &edge.Config{
			Listeners: []edge.Listener{{Name: "main", TLS: &edge.ListenerTLS{
				Certificates: []string{"site"}, ClientCA: "clients", RequireClient: true,
			}}},
			Secrets: map[string]edge.Secret{"site": issue(a, "site.test"), "clients": {AuthorityPEM: by.PEM()}},
		}
	}
	if err := s.Swap(config(clients)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := handshake(t, s.Listener("main"), trusting(a, "site.test")); err == nil {
		t.Error("a client without a certificate was let in")
	}
	with := func(by *testcert.Authority) *tls.Config {
		client := trusting(a, "site.test")
		secret := issue(by, "client")
		pair, err := tls.X509KeyPair(secret.CertificatePEM, secret.KeyPEM)
		if err != nil {
			t.Fatal(err)
		}
		client.Certificates = []tls.Certificate{pair}
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		return client
	}
	if _, _, err := handshake(t, s.Listener("main"), with(others)); err == nil {
		t.Error("a client of an unknown authority was let in")
	}
	client := with(clients)
	for resumed := range 2 {
		near, _, err := handshake(t, s.Listener("main"), client)
		if err != nil {
			t.Fatal(err)
		}
		if near.ConnectionState().DidResume != (resumed == 1) {
			t.Errorf("handshake %d: resumed is %v", resumed, near.ConnectionState().DidResume)
		}
	}
	if err := s.Swap(config(others)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := handshake(t, s.Listener("main"), client); err == nil {
		t.Error("a client whose authority is gone came in by its ticket")
	}
}

func TestTicketsOutliveSwapsAndRotations(t *testing.T) {
	a := testcert.New()
	s := newStore(t, Config{})
	config := &edge.Config{
		Listeners: []edge.Listener{{Name: "main", TLS: &edge.ListenerTLS{Certificates: []string{"site"}}}},
		Secrets:   map[string]edge.Secret{"site": issue(a, "site.test")},
	}
	if err := s.Swap(config); err != nil {
		t.Fatal(err)
	}
	client := trusting(a, "site.test")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	resumes := func() bool {
		near, _, err := handshake(t, s.Listener("main"), client)
		if err != nil {
			t.Fatal(err)
		}
		return near.ConnectionState().DidResume
	}
	_ = resumes()
	s.renew()
	if err := s.Swap(config); err != nil {
		t.Fatal(err)
	}
	if !resumes() {
		t.Error("a ticket did not outlive a rotation and a swap")
	}
	for range keptKeys {
		s.renew()
	}
	if resumes() {
		t.Error("a ticket of a key that is gone was taken")
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	a := testcert.New()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	write := func(path string, content []byte) {
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	first, second := issue(a, "site.test"), issue(a, "site.test")
	if _, err := New(Config{CertFile: cert, KeyFile: key}); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("missing files: %v", err)
	}
	write(cert, first.CertificatePEM)
	write(key, first.KeyPEM)
	registry := prometheus.NewRegistry()
	s := newStore(t, Config{CertFile: cert, KeyFile: key, Registerer: registry})
	shown := func() *x509.Certificate {
		near, _, err := handshake(t, s.Listener(Public), trusting(a, "site.test"))
		if err != nil {
			t.Fatal(err)
		}
		return near.ConnectionState().PeerCertificates[0]
	}
	before := shown()
	write(cert, second.CertificatePEM) // half of the change: the key does not fit
	s.reload()
	if !shown().Equal(before) {
		t.Error("a pair that does not fit took the old one's place")
	}
	if n := testutil.ToFloat64(s.metrics.reloads.WithLabelValues("rejected")); n != 1 {
		t.Errorf("%v rejected changes are counted, want 1", n)
	}
	s.reload() // nothing has changed: nothing is said again
	if n := testutil.ToFloat64(s.metrics.reloads.WithLabelValues("rejected")); n != 1 {
		t.Errorf("%v rejected changes are counted, want 1", n)
	}
	write(key, second.KeyPEM)
	s.reload()
	if shown().Equal(before) {
		t.Error("the new certificate is not in force")
	}
	if at := testutil.ToFloat64(s.metrics.expiry.WithLabelValues(fileLabel)); at < float64(time.Now().Unix()) {
		t.Errorf("expiry is %v", at)
	}
}
