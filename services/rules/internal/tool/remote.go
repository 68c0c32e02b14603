package tool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
)

// remote reaches a running Backlot as an operator, by its public API.
type remote struct {
	gateway, dataDir, operatorKey string
	timeout                       time.Duration

	url    string
	client *http.Client
}

func (r *remote) register(set *config.Set) {
	set.String(&r.gateway, "gateway", "http://127.0.0.1:8080", "`address` of the gateway")
	set.String(&r.dataDir, "data-dir", "./data", "`folder` of the running Backlot, where the operator's key is")
	set.String(&r.operatorKey, "operator-key", "", "`file` with the operator's key; empty: storefront/operator.key in the data folder")
	set.Duration(&r.timeout, "timeout", time.Minute, "the longest `time` of one call, and to wait until a release is in force")
}

// signIn signs in as operator.
func (r *remote) signIn(ctx context.Context) error {
	path := r.operatorKey
	if path == "" {
		path = filepath.Join(r.dataDir, "storefront", "operator.key")
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("operator's key: %w; --operator-key names another file", err)
	}
	r.url = strings.TrimSuffix(r.gateway, "/")
	anonymous := &http.Client{Timeout: r.timeout}
	accounts := storefrontv1connect.NewAccountServiceClient(anonymous, r.url)
	response, err := accounts.SignIn(ctx, &storefrontv1.SignInRequest{
		Credential: &storefrontv1.SignInRequest_OperatorKey{OperatorKey: strings.TrimSpace(string(key))},
	})
	if err != nil {
		return fmt.Errorf("sign in at %s (--gateway): %w", r.gateway, plainError(err))
	}
	r.client = &http.Client{Timeout: r.timeout, Transport: bearer(response.GetToken().GetAccessToken())}
	return nil
}

func (r *remote) config() configstorev1connect.ConfigServiceClient {
	return configstorev1connect.NewConfigServiceClient(r.client, r.url)
}

func (r *remote) lists() rulesv1connect.ListServiceClient {
	return rulesv1connect.NewListServiceClient(r.client, r.url)
}

// bearer is a token that is added to requests.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(request)
}

// plainError tells what an error of a call says, without its code where it
// says enough itself.
func plainError(err error) error {
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Message() == "" {
		return err
	}
	switch coded.Code() {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeFailedPrecondition:
		return errors.New(coded.Message())
	default:
		return err
	}
}
