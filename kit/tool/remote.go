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
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
)

// Remote reaches a running Backlot as an operator, by its public API.
type Remote struct {
	gateway, dataDir, operatorKey string

	Timeout time.Duration // of a call, and of waiting for what it sets off
	URL     string        // of the gateway, after SignIn
	Client  *http.Client  // that sends the operator's token, after SignIn
}

// Register declares the flags that say where Backlot is.
func (r *Remote) Register(set *config.Set) {
	set.String(&r.gateway, "gateway", "http://127.0.0.1:8080", "`address` of the gateway")
	set.String(&r.dataDir, "data-dir", "./data", "`folder` of the running Backlot, where the operator's key is")
	set.String(&r.operatorKey, "operator-key", "", "`file` with the operator's key; empty: storefront/operator.key in the data folder")
	set.Duration(&r.Timeout, "timeout", time.Minute, "the longest `time` of one call, and to wait for what it sets off")
}

// SignIn signs in as operator.
func (r *Remote) SignIn(ctx context.Context) error {
	path := r.operatorKey
	if path == "" {
		path = filepath.Join(r.dataDir, "storefront", "operator.key")
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("operator's key: %w; --operator-key names another file", err)
	}
	r.URL = strings.TrimSuffix(r.gateway, "/")
	anonymous := &http.Client{Timeout: r.Timeout}
	accounts := storefrontv1connect.NewAccountServiceClient(anonymous, r.URL)
	response, err := accounts.SignIn(ctx, &storefrontv1.SignInRequest{
		Credential: &storefrontv1.SignInRequest_OperatorKey{OperatorKey: strings.TrimSpace(string(key))},
	})
	if err != nil {
		return fmt.Errorf("sign in at %s (--gateway): %w", r.gateway, Plain(err))
	}
	r.Client = &http.Client{Timeout: r.Timeout, Transport: bearer(response.GetToken().GetAccessToken())}
	return nil
}

// Online returns what runs fn once the operator is signed in; check looks at the
// arguments before.
func (r *Remote) Online(check func(args []string) error, fn func(ctx context.Context, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		if err := check(args); err != nil {
			return err
		}
		if err := r.SignIn(ctx); err != nil {
			return err
		}
		return fn(ctx, args)
	}
}

// Want checks the number of arguments.
func Want(n int, what string) func(args []string) error {
	return func(args []string) error {
		if len(args) != n {
			return fmt.Errorf("want %s; try --help", what)
		}
		return nil
	}
}

// DataDir is the folder that the flags name.
func (r *Remote) DataDir() string { return r.dataDir }

// bearer is a token that is added to requests.
type bearer string

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(request)
}

// Plain tells what an error of a call says, without its code where it says
// enough itself.
func Plain(err error) error {
	var coded *connect.Error
	if !errors.As(err, &coded) || coded.Message() == "" {
		return err
	}
	switch coded.Code() {
	case connect.CodeInvalidArgument, connect.CodeNotFound, connect.CodeFailedPrecondition, connect.CodeAlreadyExists:
		return errors.New(coded.Message())
	default:
		return err
	}
}
