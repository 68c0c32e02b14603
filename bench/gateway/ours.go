//go:build linux

package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/kit/token"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

// startGateway runs a configstore and the gateway, and gives it one cluster
// with two routes: `/`, which is open to everybody, and `/policed`, which
// has all the policies.
func startGateway(r *rig, s scenario) (*proxy, error) { return startOurs(r, s, "auto") }

// startThreads runs them with a goroutine for each connection.
func startThreads(r *rig, s scenario) (*proxy, error) { return startOurs(r, s, "goroutine") }

func startOurs(r *rig, s scenario, engine string) (*proxy, error) {
	dir, err := os.MkdirTemp(r.dir, "ours-")
	if err != nil {
		return nil, err
	}
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = testport.Find(); err != nil {
			return nil, err
		}
	}
	store, public, control := addresses[0], addresses[1], addresses[2]
	key := filepath.Join(dir, "cluster.key")
	configstore, err := r.start(otherCPU, "configstore", store, r.program("configstore"), "--data-dir", filepath.Join(dir, "configstore"),
		"--cluster-key-file", key, "--configstore.rpc-listen", store, "--configstore.kitex-listen", "", "--ops-listen", "")
	if err != nil {
		return nil, err
	}
	signed, err := configure(store, dir, key, r.backend.address)
	if err != nil {
		configstore.end()
		return nil, err
	}
	args := []string{
		"--data-dir", filepath.Join(dir, "gateway"), "--cluster-key-file", key, "--configstore", store, "--gateway.listen", public,
		"--gateway.rpc-listen", control, "--gateway.kitex-listen", "", "--gateway.default-routes=false", "--gateway.engine", engine, "--ops-listen", "",
	}
	if s.secure {
		args = append(args, "--gateway.tls-cert", r.cert, "--gateway.tls-key", r.key)
	}
	if s.policed {
		args = append(args, "--gateway.access-log", filepath.Join(dir, "access.log"))
	}
	p, err := r.start(proxyCPU, "gateway", public, r.program("gateway"), args...)
	if err != nil {
		configstore.end()
		return nil, err
	}
	p.token, p.beside = signed, configstore
	if err := p.configured(s); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

// configure writes the routes, and returns a token that the policies want.
func configure(store, dir, key, backend string) (signed string, err error) {
	keys, err := identity.OpenKeys(key, nil)
	if err != nil {
		return "", err
	}
	signer, err := token.OpenSigner(filepath.Join(dir, "signing.key"), "bench", time.Now)
	if err != nil {
		return "", err
	}
	dialer := rpc.NewDialer(rpc.ClientConfig{
		Service: "bench", Signer: keys, Resolver: rpc.Static(map[string][]rpc.Endpoint{"configstore": {{Address: store}}}),
	})
	defer func() { err = errors.Join(err, dialer.Close()) }()
	request := &configstorev1.ApplyRequest{Reason: "benchmark"}
	for name, spec := range map[string]proto.Message{
		"VerificationKey/bench": signer.VerificationKey(),
		"Cluster/bench": &gatewayv1.Cluster{
			Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: []string{backend}}},
		},
		"Cluster/guarded": &gatewayv1.Cluster{
			Endpoints:    &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: []string{backend}}},
			ErrorBreaker: &gatewayv1.ErrorBreaker{Share: 0.5},
		},
		"Route/open":    route("/", &gatewayv1.RoutePolicy{}),
		"Route/policed": policed(),
	} {
		packed, err := anypb.New(spec)
		if err != nil {
			return "", err
		}
		kind, name, _ := strings.Cut(name, "/")
		request.Changes = append(request.Changes, &configstorev1.Change{Change: &configstorev1.Change_Put{
			Put: &configstorev1.Object{Key: &configstorev1.Key{Kind: kind, Name: name}, Spec: packed},
		}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := configstorev1.NewConfigServiceClient(dialer.Conn("configstore")).Apply(ctx, request); err != nil {
		return "", fmt.Errorf("configure: %w", err)
	}
	return signer.Token(identity.Principal{Kind: identity.Viewer, ID: "bench", TenantID: identity.DefaultTenant, Expires: time.Now().Add(time.Hour)})
}

func route(prefix string, policy *gatewayv1.RoutePolicy) *gatewayv1.Route {
	return &gatewayv1.Route{
		Path:   &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: prefix}},
		Target: &gatewayv1.Route_Cluster{Cluster: "bench"}, Policy: policy,
	}
}

// policed is the route with policies: signed tokens, a rate limit by caller
// that none reaches, edits of headers, an error breaker at its cluster. Its
// path loses the prefix.
func policed() *gatewayv1.Route {
	r := route("/policed/", &gatewayv1.RoutePolicy{
		Principals: []optionsv1.Principal{optionsv1.Principal_PRINCIPAL_VIEWER},
		RateLimits: []*gatewayv1.RateLimit{{
			Name: "calls", Rate: 1e6, Burst: 1e6, Key: []*gatewayv1.HashKey{{Part: &gatewayv1.HashKey_Subject{Subject: true}}},
		}},
		ResponseHeaders: &gatewayv1.HeaderEdits{Set: []*gatewayv1.HeaderValue{{Name: "X-Served-By", Value: "%ROUTE%"}}},
	})
	r.Target, r.PrefixRewrite = &gatewayv1.Route_Cluster{Cluster: "guarded"}, "/"
	return r
}

// configured waits until the gateway answers by its routes.
func (p *proxy) configured(s scenario) error {
	scheme := "http"
	transport := &http.Transport{DisableKeepAlives: true}
	if s.secure {
		scheme, transport.TLSClientConfig = "https", &tls.Config{InsecureSkipVerify: true} //nolint:gosec // loopback
	}
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	deadline := time.Now().Add(20 * time.Second)
	for {
		response, err := client.Get(scheme + "://" + p.address + "/1") //nolint:noctx // the client has a limit
		if err == nil {
			err = response.Body.Close()
			if err == nil && response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.Join(err, errors.New(response.Status))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the gateway does not serve: %w: %s", err, p.tail())
		}
		<-time.After(20 * time.Millisecond)
	}
}
