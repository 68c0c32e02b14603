// Package demo drives the whole journey through the public API at the
// gateway, as a person with a browser would: upload, transcode, publish,
// watch, recommend, buy, split, play. It ends with a receipt.
//
//	demo.go      Run: the steps in order
//	session.go   who acts: clients signed in as somebody
//	state.go     what a run that was cut short goes on with
//	clip.go      videos made with FFmpeg
//	upload.go    resumable uploads by the tus protocol
//	catalogue.go many short clips in a few tastes
//	viewers.go   generated viewers and what they watch
//	purchase.go  top-up, order, ledger
//	play.go      the bought video, segment by segment
//	receipt.go   what a person reads at the end
//	progress.go  progress bars
//
// Every step may be repeated: names given by the caller and idempotency
// keys make a second run on the same data, or a run after a crash, harmless.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1/recommenderv1alpha1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1/settlementv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1/transcoderv1alpha1connect"
)

// session is the public API as one person sees it.
type session struct {
	gateway string
	http    *http.Client
	token   string
	account *storefrontv1.Account

	accounts    storefrontv1connect.AccountServiceClient
	catalogue   storefrontv1connect.CatalogueServiceClient
	orders      storefrontv1connect.OrderServiceClient
	ledger      settlementv1connect.LedgerServiceClient
	config      configstorev1connect.ConfigServiceClient
	rules       rulesv1connect.RulesServiceClient
	transcoder  transcoderv1alpha1connect.TranscoderServiceClient
	recommender recommenderv1alpha1connect.RecommenderServiceClient
}

// newSession returns an anonymous session.
func newSession(gateway string) *session { return (&session{gateway: gateway}).signedIn("", nil) }

// signedIn returns a session of its own for an account.
func (s *session) signedIn(token string, account *storefrontv1.Account) *session {
	client := &http.Client{Transport: bearer{token}}
	json := connect.WithProtoJSON()
	return &session{
		gateway: s.gateway, http: client, token: token, account: account,
		accounts:    storefrontv1connect.NewAccountServiceClient(client, s.gateway, json),
		catalogue:   storefrontv1connect.NewCatalogueServiceClient(client, s.gateway, json),
		orders:      storefrontv1connect.NewOrderServiceClient(client, s.gateway, json),
		ledger:      settlementv1connect.NewLedgerServiceClient(client, s.gateway, json),
		config:      configstorev1connect.NewConfigServiceClient(client, s.gateway, json),
		rules:       rulesv1connect.NewRulesServiceClient(client, s.gateway, json),
		transcoder:  transcoderv1alpha1connect.NewTranscoderServiceClient(client, s.gateway, json),
		recommender: recommenderv1alpha1connect.NewRecommenderServiceClient(client, s.gateway, json),
	}
}

// bearer adds a token to requests.
type bearer struct{ token string }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// operator signs in with the operator's key.
func (s *session) operator(ctx context.Context, key string) (*session, error) {
	response, err := s.accounts.SignIn(ctx, &storefrontv1.SignInRequest{
		Credential: &storefrontv1.SignInRequest_OperatorKey{OperatorKey: key},
	})
	if err != nil {
		return nil, fmt.Errorf("sign in as operator: %w", err)
	}
	return s.signedIn(response.GetToken().GetAccessToken(), response.GetAccount()), nil
}

// person signs up, or in where the account exists.
func (s *session) person(ctx context.Context, role storefrontv1.Role, p person) (*session, error) {
	up, err := s.accounts.SignUp(ctx, &storefrontv1.SignUpRequest{
		Role: role, Email: p.Email, Password: p.Password, DisplayName: p.Name, Country: "DE",
	})
	if err == nil {
		return s.signedIn(up.GetToken().GetAccessToken(), up.GetAccount()), nil
	}
	if connect.CodeOf(err) != connect.CodeAlreadyExists {
		return nil, fmt.Errorf("sign up %s: %w", p.Email, err)
	}
	in, err := s.accounts.SignIn(ctx, &storefrontv1.SignInRequest{
		Credential: &storefrontv1.SignInRequest_Password{
			Password: &storefrontv1.PasswordCredential{Email: p.Email, Password: p.Password},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("sign in %s: %w", p.Email, err)
	}
	return s.signedIn(in.GetToken().GetAccessToken(), in.GetAccount()), nil
}

// patience is how long a step waits for services to follow each other.
const patience = 60 * time.Second

// eventually repeats check until it is satisfied, fails or patience ends.
func eventually(ctx context.Context, what string, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := check()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, errors.Join(ctx.Err(), errors.New("it did not come in time")))
		}
	}
}
