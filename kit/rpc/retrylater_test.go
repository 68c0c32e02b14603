package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func caseRetryLater(t *testing.T, b *bench) {
	const later = 1234 * time.Millisecond
	b.onPublish(func(context.Context, *storefrontv1.PublishVideoRequest) (*storefrontv1.PublishVideoResponse, error) {
		return nil, fmt.Errorf("publish: %w", RetryLater(connect.CodeResourceExhausted, errors.New("busy"), later))
	})
	_, err := publish(t.Context(), b.conn(t, nil), validPublish())
	coded := wantCode(t, err, connect.CodeResourceExhausted)
	if after, told := RetryAfter(coded); !told || after != later || coded.Message() != "busy" {
		t.Errorf("retry after %v (%v), message %q", after, told, coded.Message())
	}
}

func TestBusyIs503OverHTTP(t *testing.T) {
	b, base := httpBench(t, ServerConfig{}, nil)
	for _, test := range []struct {
		err    error
		status int
		header string
	}{
		{RetryLater(connect.CodeResourceExhausted, errors.New("busy"), 1200*time.Millisecond), http.StatusServiceUnavailable, "2"},
		{RetryLater(connect.CodeResourceExhausted, errors.New("busy"), time.Millisecond), http.StatusServiceUnavailable, "1"},
		{RetryLater(connect.CodeUnavailable, errors.New("sick"), time.Second), http.StatusServiceUnavailable, "1"},
		{connect.NewError(connect.CodeResourceExhausted, errors.New("quota")), http.StatusTooManyRequests, ""},
	} {
		b.shop.list = func(context.Context, *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
			return nil, test.err
		}
		res, body := request(t, "POST", base+"/"+shopName+"/List", `{}`, asJSON)
		code := connect.CodeOf(test.err).String()
		if res.StatusCode != test.status || res.Header.Get("Retry-After") != test.header || !strings.Contains(body, code) {
			t.Errorf("%v: status %d, Retry-After %q, %s", test.err, res.StatusCode, res.Header.Get("Retry-After"), body)
		}
	}
}
