//go:build conformance

package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/e2e/internal/gate"
	"github.com/backlot-video/backlot/kit/testcert"
	"github.com/backlot-video/backlot/kit/testport"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// tool is a program of a suite, which scripts/conformance.sh installs in the
// folder BACKLOT_CONFORMANCE_TOOLS.
func tool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("BACKLOT_CONFORMANCE_TOOLS"), name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: %s is not there (scripts/conformance.sh installs it)", path)
	}
	return path
}

// suite runs a program and returns what it printed.
func suite(t *testing.T, limit time.Duration, environ []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), environ...), 5*time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestH2spec is https://github.com/summerwind/h2spec, over TLS and by prior
// knowledge.
func TestH2spec(t *testing.T) {
	program := tool(t, "h2spec")
	_, cert, key := testcert.New().Leaf("127.0.0.1").Files(t)
	for name, flags := range map[string][]string{"plain": nil, "tls": {"--gateway.tls-cert", cert, "--gateway.tls-key", key}} {
		t.Run(name, func(t *testing.T) {
			g := gate.New(t, objects(gate.NewBackend(t, "a", "")), flags...)
			host, port, err := net.SplitHostPort(g.Address)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-h", host, "-p", port, "-P", "/128", "-o", "5"}
			if flags != nil {
				args = append(args, "-t", "-k")
			}
			out, err := suite(t, 10*time.Minute, nil, program, args...)
			summary := regexp.MustCompile(`(\d+) tests, (\d+) passed, 0 skipped, (\d+) failed`).FindStringSubmatch(out)
			if summary == nil {
				t.Fatalf("%v\n%s", err, out[max(0, len(out)-6000):])
			}
			t.Log(summary[0])
			if summary[3] != "0" {
				t.Errorf("%s failed:\n%s", summary[3], out[max(0, len(out)-6000):])
			}
		})
	}
}

// TestGRPCInterop is gRPC's own interoperability client and server, with the
// gateway between.
func TestGRPCInterop(t *testing.T) {
	client, server := tool(t, "client"), tool(t, "server")
	backend := testport.Address(t)
	_, backendPort, _ := net.SplitHostPort(backend)
	_ = cluster.Start(t, server, []string{"--port", backendPort}, nil)
	awaitAddress(t, backend)
	g := gate.New(t, map[string]proto.Message{"Cluster/grpc": gate.Cluster(backend), "Route/all": streaming("/", "grpc")})
	host, port, _ := net.SplitHostPort(g.Address)
	for _, test := range []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
		"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
		"unimplemented_method", "unimplemented_service",
	} {
		t.Run(test, func(t *testing.T) {
			if out, err := suite(t, time.Minute, nil, client, "--server_host", host, "--server_port", port, "--test_case", test); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// awaitAddress waits until an address is listened on.
func awaitAddress(t *testing.T, address string) {
	t.Helper()
	for range 2000 {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s", address)
}

// TestConnectConformance is connectrpc.com/conformance: its reference client,
// the gateway, its reference server. Its runner starts wrapper (this program
// again) as the server; that starts the real one and asks this process for a
// gateway before it.
func TestConnectConformance(t *testing.T) {
	runner, client, server := tool(t, "connectconformance"), tool(t, "referenceclient"), tool(t, "referenceserver")
	control := gatewaysOnDemand(t)
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte("features:\n  versions: [HTTP_VERSION_1, HTTP_VERSION_2]\n  supports_h2c: true\n  supports_tls: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := suite(t, 20*time.Minute, []string{wrapServer + "=" + server, wrapControl + "=" + control},
		runner, "--mode", "both", "--conf", config, "--max-servers", "2", "--", client, "----", self)
	summary := regexp.MustCompile(`(?s)Total cases:.*`).FindString(out)
	t.Log(summary)
	if err != nil || !strings.Contains(summary, ", 0 failed") {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-12000):])
	}
}

// gatewaysOnDemand starts a gateway for each who posts a request of wrapper,
// and returns the address to post to.
func gatewaysOnDemand(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		upstream := gate.Cluster(r.Form.Get("upstream"))
		config := map[string]proto.Message{"Cluster/server": upstream, "Route/all": streaming("/", "server")}
		if r.Form.Get("http2") != "" {
			upstream.Protocol = gatewayv1.UpstreamProtocol_UPSTREAM_PROTOCOL_HTTP2
		} else {
			upstream.Protocol = gatewayv1.UpstreamProtocol_UPSTREAM_PROTOCOL_HTTP1
		}
		var flags []string
		if cert := r.Form.Get("cert"); cert != "" {
			upstream.Tls = &gatewayv1.ClusterTls{Authority: "server", ServerName: "localhost"}
			config["Secret/server"] = &gatewayv1.Secret{Material: &gatewayv1.Secret_Authority{Authority: &gatewayv1.Material{
				Source: &gatewayv1.Material_Inline{Inline: cert},
			}}}
			flags = pemFiles(t, cert, r.Form.Get("key"))
		}
		g := gate.New(t, config, flags...)
		fmt.Fprint(w, g.Address)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

func pemFiles(t *testing.T, cert, key string) []string {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.WriteFile(certFile, []byte(cert), 0o600), os.WriteFile(keyFile, []byte(key), 0o600)); err != nil {
		t.Error(err)
	}
	return []string{"--gateway.tls-cert", certFile, "--gateway.tls-key", keyFile}
}

// python is the system's, which has the system's packages.
const python = "/usr/bin/python3"

// TestWebSocketPeers has clients of others talk to servers of others through
// the gateway: Debian's python3-websockets and python3-autobahn.
func TestWebSocketPeers(t *testing.T) {
	for _, peer := range []string{"websockets", "autobahn"} {
		t.Run(peer, func(t *testing.T) {
			if out, err := suite(t, time.Minute, nil, python, "-c", "import "+peer); err != nil {
				t.Skipf("SKIPPED: apt-get install python3-%s: %s", peer, out)
			}
			script, err := filepath.Abs(filepath.Join("testdata", "echo_"+peer+".py"))
			if err != nil {
				t.Fatal(err)
			}
			backend := testport.Address(t)
			_ = cluster.Start(t, python, []string{script, "server", backend}, nil)
			awaitAddress(t, backend)
			g := gate.New(t, map[string]proto.Message{"Cluster/peer": gate.Cluster(backend), "Route/all": streaming("/", "peer")})
			out, err := suite(t, 2*time.Minute, nil, python, script, "client", g.Address)
			if err != nil || !strings.Contains(out, "all echoed") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
