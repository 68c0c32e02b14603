package mq_test

import (
	"crypto/tls"
	"testing"

	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/testcert"
)

func TestServerWithTLSServesBothWays(t *testing.T) {
	authority := testcert.New()
	serverTLS := &tls.Config{Certificates: []tls.Certificate{authority.Leaf("127.0.0.1").Pair()}, MinVersion: tls.VersionTLS12}
	clientTLS := &tls.Config{RootCAs: authority.Roots(), MinVersion: tls.VersionTLS12}
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
