// Package client is the public API at the gateway as one person sees it. It
// does not retry.
//
//	client.go  sessions
//	tus.go     uploads
package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"strings"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1/coordinatorv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1/settlementv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1/transcoderv1alpha1connect"
)

// Session is one person at a gateway.
type Session struct {
	Gateway string // http://host:port
	Token   string
	Account *storefrontv1.Account
	HTTP    *http.Client

	Accounts       storefrontv1connect.AccountServiceClient
	Catalogue      storefrontv1connect.CatalogueServiceClient
	Orders         storefrontv1connect.OrderServiceClient
	Ledger         settlementv1connect.LedgerServiceClient
	Reconciliation settlementv1connect.ReconciliationServiceClient
	Config         configstorev1connect.ConfigServiceClient
	Rules          rulesv1connect.RulesServiceClient
	Transcoder     transcoderv1alpha1connect.TranscoderServiceClient
	Coordinator    coordinatorv1connect.CoordinatorServiceClient
}

// New returns a session with a token, or an anonymous one where it is empty.
func New(gateway, token string) *Session {
	client := &http.Client{Transport: bearer(token)}
	json := connect.WithProtoJSON()
	return &Session{
		Gateway: gateway, Token: token, HTTP: client,
		Accounts:       storefrontv1connect.NewAccountServiceClient(client, gateway, json),
		Catalogue:      storefrontv1connect.NewCatalogueServiceClient(client, gateway, json),
		Orders:         storefrontv1connect.NewOrderServiceClient(client, gateway, json),
		Ledger:         settlementv1connect.NewLedgerServiceClient(client, gateway, json),
		Reconciliation: settlementv1connect.NewReconciliationServiceClient(client, gateway, json),
		Config:         configstorev1connect.NewConfigServiceClient(client, gateway, json),
		Rules:          rulesv1connect.NewRulesServiceClient(client, gateway, json),
		Transcoder:     transcoderv1alpha1connect.NewTranscoderServiceClient(client, gateway, json),
		Coordinator:    coordinatorv1connect.NewCoordinatorServiceClient(client, gateway, json),
	}
}

// Operator signs in with the key in a file.
func Operator(ctx context.Context, gateway, keyFile string) (*Session, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	response, err := New(gateway, "").Accounts.SignIn(ctx, &storefrontv1.SignInRequest{
		Credential: &storefrontv1.SignInRequest_OperatorKey{OperatorKey: strings.TrimSpace(string(key))},
	})
	if err != nil {
		return nil, fmt.Errorf("sign in as operator: %w", err)
	}
	s := New(gateway, response.GetToken().GetAccessToken())
	s.Account = response.GetAccount()
	return s, nil
}

// SignUp makes an account with a name of its own.
func SignUp(ctx context.Context, gateway string, role storefrontv1.Role) (*Session, error) {
	response, err := New(gateway, "").Accounts.SignUp(ctx, &storefrontv1.SignUpRequest{
		Role: role, Email: "e2e-" + Random() + "@test.example", Password: "password of " + Random(),
	})
	if err != nil {
		return nil, fmt.Errorf("sign up: %w", err)
	}
	s := New(gateway, response.GetToken().GetAccessToken())
	s.Account = response.GetAccount()
	return s, nil
}

// Random is a name that nobody has yet.
func Random() string {
	bytes := make([]byte, 8)
	_, _ = rand.Read(bytes)
	return hex.EncodeToString(bytes)
}

// bearer adds a token to requests.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(b))
	}
	return http.DefaultTransport.RoundTrip(r)
}
