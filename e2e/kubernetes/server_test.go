//go:build kubernetes

package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/kit/testport"
)

func TestMain(m *testing.M) { os.Exit(cluster.Main(m)) }

// podAddress is that of the namespace's own interface, by scripts/kubernetes.sh.
const podAddress = "10.213.0.1"

// Tokens of the API server: one may all, one nothing unless it is bound.
const (
	admin  = "token-of-admin"
	viewer = "token-of-viewer"
)

// server is a kube-apiserver over `configstore etcd`.
type server struct {
	url, dir                    string
	authority, certificate, key string // files

	t       *testing.T
	program string
	args    []string
	process *cluster.Process
	http    *http.Client
}

// newServer starts both and waits until the API server is ready.
func newServer(t *testing.T) *server {
	t.Helper()
	program := os.Getenv("KUBE_APISERVER")
	if program == "" {
		t.Fatal("KUBE_APISERVER names no kube-apiserver: run it by make kubernetes")
	}
	s := &server{dir: t.TempDir(), t: t, program: program}
	s.certificates()
	etcd := "http://" + testport.Address(t)
	peers := "http://" + testport.Address(t)
	cluster.Start(t, cluster.Build(t, cluster.Plain, "services/configstore/cmd/configstore"), []string{
		"etcd", "--name", "one", "--data-dir", filepath.Join(s.dir, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "one=" + peers,
	}, nil)
	tokens := fmt.Sprintf("%s,admin,1,system:masters\n%s,viewer,2\n", admin, viewer)
	if err := os.WriteFile(s.file("tokens"), []byte(tokens), 0o600); err != nil {
		t.Fatal(err)
	}
	address := testport.Address(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + address
	s.args = []string{
		"--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port, "--advertise-address", podAddress, "--endpoint-reconciler-type", "none",
		"--tls-cert-file", s.certificate, "--tls-private-key-file", s.key, "--cert-dir", s.dir,
		"--token-auth-file", s.file("tokens"), "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/24",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", s.certificate,
		"--service-account-signing-key-file", s.key, "--disable-admission-plugins", "ServiceAccount",
	}
	s.start()
	return s
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// certificates makes the server's own, of an authority that clients trust.
func (s *server) certificates() {
	authority := testcert.New()
	s.authority, s.certificate, s.key = authority.Leaf("127.0.0.1").Files(s.t)
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Roots()}, DisableKeepAlives: true}}
}

// start starts the API server, after a kill too, and waits until it is ready.
func (s *server) start() {
	s.t.Helper()
	s.process = cluster.Start(s.t, s.program, s.args, nil)
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	for {
		status, said, err := s.call(ctx, http.MethodGet, "/readyz", nil)
		if err == nil && status == http.StatusOK {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-s.process.Ended():
			s.t.Fatalf("kube-apiserver ended:\n%s", s.process.Tail())
		case <-ctx.Done():
			s.t.Fatalf("kube-apiserver is not ready: %d %s %v\n%s", status, said, err, s.process.Tail())
		}
	}
}

// object is one of Kubernetes', as JSON.
type object map[string]any

// call asks the API server as admin.
func (s *server) call(ctx context.Context, method, path string, body object) (status int, said []byte, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+admin)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := s.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	said, err = io.ReadAll(response.Body)
	return response.StatusCode, said, err
}

// must is call, which has to succeed.
func (s *server) must(method, path string, body object) {
	s.t.Helper()
	status, said, err := s.call(s.t.Context(), method, path, body)
	if err != nil || status >= 300 {
		s.t.Fatalf("%s %s: %d %v %s", method, path, status, err, said)
	}
}

const slicesPath = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

// slice is an EndpointSlice of a service with an endpoint for each address.
func slice(name, service string, port int, addresses ...string) object {
	endpoints := []object{}
	for n, address := range addresses {
		endpoints = append(endpoints, object{
			"addresses": []string{address}, "conditions": object{"ready": true}, "zone": "zone-a",
			"targetRef": object{"kind": "Pod", "name": fmt.Sprintf("%s-%d", name, n)},
		})
	}
	return object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
		"metadata":  object{"name": name, "labels": object{kubernetes.DefaultServiceLabel: service, "app": service}},
		"endpoints": endpoints, "ports": []object{{"name": "http", "port": port, "protocol": "TCP"}},
	}
}

// tokenFile is a file with a token.
func (s *server) tokenFile(token string) string {
	s.t.Helper()
	name := s.file("token-" + token)
	if err := os.WriteFile(name, []byte(token), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}
