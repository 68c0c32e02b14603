package service

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/lifecycle"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

func TestDefaultsAreValidAndFaultsAreReportedTogether(t *testing.T) {
	s := New()
	set := config.New("test")
	s.RegisterFlags(set.Sub(s.Name()))
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	s.config = Config{Dir: filepath.Join(t.TempDir(), "nowhere"), Velocity: Velocity{Bytes: 1}}
	s.config.ListBytes = 5 << 30
	err := s.Validate()
	for _, field := range []string{"rules.list-entries", "rules.list-bytes", "rules.dir", "rules.velocity-bytes", "rules.velocity-steps", "rules.velocity-snapshot-interval", "rules.velocity-journal-bytes", "rules.velocity-timeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestTheRulesetOfANewInstallationIsGood(t *testing.T) {
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	if err := c.AddBuiltin((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()); err != nil {
		t.Fatal(err)
	}
	spec := defaultRuleset()
	checked, err := c.Check(paymentsName, spec.GetFactType(), spec.GetSource())
	if err != nil || len(checked.Errors) > 0 || len(checked.Failed) > 0 || checked.Tests < 5 {
		t.Fatalf("%v\n%v\n%+v", err, checked.Errors, checked.Failed)
	}
	if checked.Formatted != spec.GetSource() {
		t.Errorf("payments.rules is not in canonical form:\n%s", checked.Formatted)
	}
}

// TestRunAlone starts the service in a process of its own form, without a
// configstore, and asks it over HTTP.
func TestRunAlone(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "rpc.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- lifecycle.Run(ctx, "rules", []string{
			"--data-dir", filepath.Join(dir, "data"), "--rules.rpc-listen", "unix:" + socket,
			"--rules.kitex-listen", "", "--ops-listen", "", "--log-level", "error",
		}, nil, io.Discard, New())
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	client := rulesv1connect.NewRulesServiceClient(&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}, "http://rules", connect.WithInterceptors(signed(filepath.Join(dir, "data", "cluster.key"))))

	request := &rulesv1.EvaluateRequest{
		FactType: defaultRuleset().GetFactType(), EventId: "order",
		Fact: &rulesv1.EvaluateRequest_Json{Json: `{"amount": {"minor": "60000", "currency": "USD"}, "viewer_id": "v"}`},
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		res, err := client.Evaluate(ctx, request)
		if err == nil {
			if d := res.GetDecision(); d.GetVerdict() != rulesv1.Action_ACTION_REVIEW || d.GetRuleset() != "payments" || d.GetRulesetVersion() == "" {
				t.Errorf("got %v", d)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not served: %v", err)
		}
		runtime.Gosched()
	}
	status, err := client.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{})
	if err != nil || len(status.GetRulesets()) != 1 || status.GetRulesets()[0].GetRejected() != "" {
		t.Errorf("got %v, %v", status, err)
	}
}

// signed adds the principal of an operator, once the cluster's key is there.
func signed(keyFile string) connect.Interceptor {
	return connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
			if _, err := os.Stat(keyFile); err != nil {
				return nil, err
			}
			keys, err := identity.OpenKeys(keyFile, nil)
			if err != nil {
				return nil, err
			}
			token, err := keys.Sign(identity.Principal{
				Kind: identity.Operator, ID: "0199aaaa-0000-7000-8000-000000000000", TenantID: identity.DefaultTenant,
			})
			if err != nil {
				return nil, err
			}
			req.Header().Set(identity.Header, token)
			return next(ctx, req)
		}
	})
}
